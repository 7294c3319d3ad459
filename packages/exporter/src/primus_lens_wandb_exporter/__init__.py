"""Reports what a training job logs to Weights & Biases to Primus Lens.

Installing the package is enough: a `.pth` line watches for `import wandb`. A point walks the rooms
in this order: `_activate`, `_import_watch`, `_intercept`, `_recorder`, `_spool`, `_sender`,
`_transport`. The only public name is `wandb_hook.install_wandb_hook`, for interpreters that read no
`.pth` files.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
