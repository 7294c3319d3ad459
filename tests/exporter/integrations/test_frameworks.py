"""Real frameworks that log on their own: what wandb wrote arrives, and the framework is named."""

import oracle
import pytest

pytestmark = pytest.mark.timeout(300)

LIGHTNING = """
import torch
import lightning
from lightning.pytorch.loggers import WandbLogger

class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        x, y = batch
        loss = ((self.layer(x) - y) ** 2).mean()
        self.log("train/loss", loss)
        self.log_dict({"train/mean": x.mean(), "train/index": float(index)}, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val/loss", ((self.layer(x) - y) ** 2).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

rows = torch.utils.data.TensorDataset(torch.randn(32, 4), torch.randn(32, 1))
data = torch.utils.data.DataLoader(rows, batch_size=4)
trainer = lightning.Trainer(
    max_epochs=3, logger=WandbLogger(project="p", id="r1"), log_every_n_steps=1, accelerator="cpu",
    enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
)
trainer.fit(Net(), data, data)
"""

TRANSFORMERS = """
import os, torch
os.environ["WANDB_RUN_ID"] = "r1"
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=32, n_positions=16))
rows = [{"input_ids": torch.arange(16) % 32, "labels": torch.arange(16) % 32} for _ in range(24)]
arguments = TrainingArguments(
    "out", report_to="wandb", run_name="tiny", num_train_epochs=2, per_device_train_batch_size=4,
    logging_steps=1, eval_strategy="epoch", save_strategy="no", use_cpu=True, disable_tqdm=True,
)
Trainer(model, arguments, train_dataset=rows, eval_dataset=rows[:4]).train()
"""

ACCELERATE = """
from accelerate import Accelerator

accelerator = Accelerator(log_with="wandb", cpu=True)
accelerator.init_trackers("p", {"lr": 0.1}, {"wandb": {"id": "r1"}})
for step in range(0, 60, 3):
    accelerator.log({"loss": 1 / (step + 1), "inner": {"norm": step}}, step=step)
accelerator.end_training()
"""

KERAS = """
import numpy as np
import keras
import wandb

wandb.init(project="p", id="r1")
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
each_batch = keras.callbacks.LambdaCallback(
    on_train_batch_end=lambda batch, logs: wandb.log({f"batch/{k}": v for k, v in logs.items()}),
    on_epoch_end=lambda epoch, logs: wandb.log({"epoch": epoch, **logs}),
)
x = np.random.rand(32, 4)
model.fit(x, x.sum(1), batch_size=4, epochs=2, verbose=0, callbacks=[each_batch])
"""

FRAMEWORKS = {
    "lightning": LIGHTNING,
    "lightning by its old name": LIGHTNING.replace(
        "import lightning\n", "import pytorch_lightning as lightning\n"
    ).replace("lightning.pytorch.loggers", "pytorch_lightning.loggers"),
    "transformers_trainer": TRANSFORMERS,
    "accelerate": ACCELERATE,
    "keras": KERAS,
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_loses_no_point_and_is_named(job, receiver, name):
    """Each point of the .wandb file arrives, and the last evidence names who logged it."""
    job.run(FRAMEWORKS[name], timeout_s=250)
    curves = receiver.curves("r1")
    assert curves == oracle.rows(job.file("r1"))
    assert len(curves) >= 12
    shown = name.partition(" ")[0]
    assert shown in receiver.detections()[-1].body["hints"]["wrapper_frameworks"]
    assert receiver.run_facts("r1")["state"] == "finished"
