# SPDX-License-Identifier: Apache-2.0
"""nn.Module + loss -> one joint graph of forward, loss and backward."""

from acclimate.capture.answers import export_answers
from acclimate.capture.check import check_model, in_c_order, split_example
from acclimate.capture.export import Forward, Slot, export
from acclimate.capture.fold import fold_batch_norm
from acclimate.capture.joint import Joint, trace_joint, trace_predict
from acclimate.capture.losses import LOSSES, Loss, LwF, berhu, find_loss
from acclimate.capture.update import Update, UpdatePolicy

__all__ = [
    "LOSSES",
    "Forward",
    "Joint",
    "Loss",
    "LwF",
    "Slot",
    "Update",
    "UpdatePolicy",
    "berhu",
    "check_model",
    "export",
    "export_answers",
    "find_loss",
    "fold_batch_norm",
    "in_c_order",
    "split_example",
    "trace_joint",
    "trace_predict",
]
