"""A trainer in the style of nanoGPT: globals, configurator.py, iter and step lines, ckpt.pt, init_from=resume, wandb_log."""

import gzip
import os
import time

import torch
from model import GPT

out_dir = "out"
eval_interval = 10
log_interval = 5
eval_iters = 4
init_from = "scratch"  # 'scratch' or 'resume'
wandb_log = False
wandb_project = "pixels"
data = "data"
batch_size = 16
n_embd = 16
n_head = 2
bias = False
learning_rate = 1e-2
max_iters = 20
device = "cuda"
seed = 1337
pause = 0.0
config_keys = [
    k
    for k, v in globals().items()
    if not k.startswith("_") and isinstance(v, (int, float, bool, str))
]
exec(open("configurator.py").read())
config = {k: globals()[k] for k in config_keys}

os.makedirs(out_dir, exist_ok=True)
torch.manual_seed(seed)


def load(split):
    with gzip.open(os.path.join(data, f"{split}-images-idx3-ubyte.gz")) as f:
        images = torch.frombuffer(bytearray(f.read()[16:]), dtype=torch.uint8).view(-1, 28, 28)
    return (images[:512, ::4, ::4].flatten(1) // 32).long()


splits = {"train": load("train"), "val": load("t10k")}


def get_batch(split):
    rows = splits[split][torch.randint(len(splits[split]), (batch_size,))].to(device)
    return rows[:, :-1], rows[:, 1:]


iter_num, best_val_loss = 0, 1e9
model = GPT(8, 48, n_embd, n_head, bias=bias).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
if init_from == "resume":
    print(f"Resuming training from {out_dir}")
    checkpoint = torch.load(os.path.join(out_dir, "ckpt.pt"), map_location=device)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    iter_num, best_val_loss = checkpoint["iter_num"], checkpoint["best_val_loss"]


@torch.no_grad()
def estimate_loss():
    out = {}
    model.eval()
    for split in ("train", "val"):
        losses = torch.zeros(eval_iters)
        for k in range(eval_iters):
            losses[k] = model(*get_batch(split))[1].item()
        out[split] = losses.mean()
    model.train()
    return out


if wandb_log:
    import wandb

    wandb.init(project=wandb_project, config=config)

t0 = time.time()
while True:
    if iter_num % eval_interval == 0:
        losses = estimate_loss()
        print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")
        if wandb_log:
            wandb.log({"iter": iter_num, "train/loss": losses["train"], "val/loss": losses["val"]})
        if iter_num > 0:
            checkpoint = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "iter_num": iter_num,
                "best_val_loss": best_val_loss,
                "config": config,
            }
            print(f"saving checkpoint to {out_dir}")
            torch.save(checkpoint, os.path.join(out_dir, "ckpt.pt"))
        time.sleep(pause)
    logits, loss = model(*get_batch("train"))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if iter_num % log_interval == 0:
        dt, t0 = time.time() - t0, time.time()
        print(f"iter {iter_num}: loss {loss.item():.4f}, time {dt * 1000:.2f}ms")
    iter_num += 1
    if iter_num > max_iters:
        break
