"""Runs in the tools that people use: MLflow, TensorBoard, W&B, tables of pandas and polars, figures of matplotlib.

The only room that imports any of these, and none before it is asked for. What it knows of a run is its record and its
folder, so that a run of this machine, of a cluster, or of last year is written by the same code.

    names        one name under the rules of another tool, and back
    facts        what is said of a run beside its curves: title, group of seeds, settings
    news         what a run's folder holds beyond a place up to which it was read
    bookmarks    that place, for every run and destination, kept on disk
    tool         what a tool has to do, and which one the config or the command line means
    to_mlflow, to_tensorboard, to_wandb    the tools
    sender       from folders to one destination: nothing missing, nothing twice
    tables, figures                        rows and pictures for reading afterwards
"""
