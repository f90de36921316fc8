# %% [markdown]
# # A lab in a notebook
#
# Runs, values, verdicts and figures of a repository that branchlab manages: `pip install 'branchlab[frames]'`.
# Start Jupyter with `BRANCHLAB_LAB` set to the repository, or name it here. Written from `lab.py` beside it by `make docs`.

# %%
import os

import branchlab

lab = branchlab.open(os.environ.get("BRANCHLAB_LAB", "."))
lab

# %% [markdown]
# ## What ran
#
# Iterating gives plain records; `to_pandas()` a table with a row a run.

# %%
runs = lab.runs(state="done")
runs.to_pandas()[["branch", "seed", "scale", "state", "val/accuracy", "val/loss", "duration_s"]]

# %%
for record in lab.runs(state=["failed", "lost"]):
    print(record.run.branch, record.run.seed, record.reason)

# %% [markdown]
# ## Every value, in long form

# %%
values = lab.metrics(["val/accuracy", "val/loss", "train/loss"], state="done").to_pandas()
values.pivot_table(index=["branch", "epoch"], columns="name", values="value")

# %% [markdown]
# ## What the seeds say
#
# The same verdicts as `branchlab compare`: paired by seed, the noise of seeds pooled, adjusted for the number of branches.

# %%
for one in lab.compare().judged:
    print(one.verdict.sentence if one.verdict else f"{one.subject.branch}: no result")

# %%
lab.plot_verdicts()

# %%
lab.plot_curves(metric="val/loss")

# %% [markdown]
# ## Where branches stand

# %%
for branch in lab.status().branches:
    standing = branch.standing
    print(standing.branch.name, branch.merge_back, branch.recommendation.reason)
