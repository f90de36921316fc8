"""A project of Lightning's CLI: python main.py fit --config config.yaml."""

from data import Fashion
from lightning.pytorch.cli import LightningCLI
from model import Net

if __name__ == "__main__":
    LightningCLI(Net, Fashion, save_config_callback=None)
