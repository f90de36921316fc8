"""A classification trainer in the style of torchvision's references: argparse, meters, checkpoint.pth, --resume."""

import datetime
import os
import time

import presets
import torch
import utils
from torch import nn


def train_one_epoch(model, criterion, optimizer, data_loader, device, epoch, args):
    model.train()
    loss_meter = utils.SmoothedValue()
    for i, (image, target) in enumerate(data_loader):
        image, target = image.to(device), target.to(device)
        output = model(image)
        loss = criterion(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_meter.update(loss.item(), image.shape[0])
        if i % args.print_freq == 0:
            print(f"Epoch: [{epoch}]  [{i}/{len(data_loader)}]  loss: {loss_meter}")


def evaluate(model, criterion, data_loader, device):
    model.eval()
    acc1, acc5 = utils.SmoothedValue(), utils.SmoothedValue()
    with torch.inference_mode():
        for image, target in data_loader:
            output = model(image.to(device))
            one, five = utils.accuracy(output, target.to(device), topk=(1, 5))
            acc1.update(one.item(), n=len(image))
            acc5.update(five.item(), n=len(image))
    print(f"Test:  Acc@1 {acc1.global_avg:.3f} Acc@5 {acc5.global_avg:.3f}")
    return acc1.global_avg


def main(args):
    os.makedirs(args.output_dir, exist_ok=True)
    print(args)
    torch.manual_seed(args.seed)
    device = torch.device(args.device)
    train = utils.load_part(args.data_path, "train", args.fraction)
    test = utils.load_part(args.data_path, "t10k", args.fraction)
    data_loader = torch.utils.data.DataLoader(train, batch_size=args.batch_size, shuffle=True)
    data_loader_test = torch.utils.data.DataLoader(test, batch_size=256)
    model = presets.model(batch_norm=args.batch_norm).to(device)
    criterion = nn.CrossEntropyLoss(label_smoothing=args.label_smoothing)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    lr_scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    if args.resume:
        checkpoint = torch.load(args.resume, map_location="cpu", weights_only=False)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        lr_scheduler.load_state_dict(checkpoint["lr_scheduler"])
        args.start_epoch = checkpoint["epoch"] + 1
    print("Start training")
    start_time = time.time()
    for epoch in range(args.start_epoch, args.epochs):
        train_one_epoch(model, criterion, optimizer, data_loader, device, epoch, args)
        lr_scheduler.step()
        evaluate(model, criterion, data_loader_test, device)
        checkpoint = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "lr_scheduler": lr_scheduler.state_dict(),
            "epoch": epoch,
            "args": args,
        }
        utils.save_on_master(checkpoint, os.path.join(args.output_dir, f"model_{epoch}.pth"))
        utils.save_on_master(checkpoint, os.path.join(args.output_dir, "checkpoint.pth"))
        time.sleep(args.pause)
    print(f"Training time {datetime.timedelta(seconds=int(time.time() - start_time))}")


def get_args_parser():
    import argparse

    parser = argparse.ArgumentParser(description="Classification Training")
    parser.add_argument("--data-path", default="data", type=str)
    parser.add_argument("--device", default="cuda", type=str)
    parser.add_argument("-b", "--batch-size", default=64, type=int)
    parser.add_argument("--epochs", default=3, type=int)
    parser.add_argument("--lr", default=0.05, type=float)
    parser.add_argument("--label-smoothing", default=0.0, type=float)
    parser.add_argument("--print-freq", default=10, type=int)
    parser.add_argument("--output-dir", default=".", type=str)
    parser.add_argument("--resume", default="", type=str)
    parser.add_argument("--start-epoch", default=0, type=int)
    parser.add_argument("--fraction", default=1.0, type=float)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--batch-norm", action="store_true")
    parser.add_argument("--pause", default=0.0, type=float)
    return parser


if __name__ == "__main__":
    main(get_args_parser().parse_args())
