"""Existing runs on their way into Lens: files of other tools become reports over plain HTTP.

finding -> wandb_file | event_file | csv_table -> batches -> delivery.
"""
