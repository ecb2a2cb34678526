"""The losses: one function each, and one line each in this table."""

from __future__ import annotations

from losscope.losses.arcface import arcface, arcface_residual
from losscope.losses.center_contrastive import center_contrastive, center_contrastive_residual
from losscope.losses.contrastive import contrastive
from losscope.losses.info_nce import info_nce, info_nce_residual
from losscope.losses.n_pair import n_pair, n_pair_residual
from losscope.losses.sup_con import sup_con, sup_con_residual
from losscope.losses.triplet import triplet
from losscope.types import Loss

PROXY_LR = 1e-2
"""Learning rate of class vectors; ten to a hundred times that of the encoder is customary."""

LOSSES: dict[str, Loss] = {
    "contrastive": Loss(
        contrastive,
        kind="pair",
        saturates=True,
        stacking="native",
        reference="Zeng et al. 2025, eq. (1); Hadsell, Chopra, LeCun 2006",
    ),
    "triplet": Loss(
        triplet,
        kind="triplet",
        saturates=True,
        stacking="native",
        reference="Zeng et al. 2025, eq. (2); Schroff, Kalenichenko, Philbin 2015",
    ),
    "n_pair": Loss(
        n_pair,
        kind="positive_pair",
        saturates=False,
        stacking="native",
        blocks=True,
        training={"unit_length": True},
        may_be_0=("penalty",),
        residual=n_pair_residual,
        reference="Sohn 2016, eq. (5)",
    ),
    "info_nce": Loss(
        info_nce,
        kind="positive_pair",
        saturates=False,
        stacking="native",
        residual=info_nce_residual,
        reference="van den Oord, Li, Vinyals 2018",
    ),
    "arcface": Loss(
        arcface,
        kind="sample",
        saturates=False,
        stacking="native",
        proxies=True,
        training={"proxy_lr": PROXY_LR},
        may_be_0=("margin",),
        residual=arcface_residual,
        reference="Deng et al. 2019",
    ),
    "sup_con": Loss(
        sup_con,
        kind="anchor",
        saturates=False,
        stacking="native",
        residual=sup_con_residual,
        reference="Khosla et al. 2020, eqs. (2) and (3)",
    ),
    "center_contrastive": Loss(
        center_contrastive,
        kind="sample",
        saturates=False,
        stacking="native",
        proxies=True,
        training={"proxy_lr": PROXY_LR, "momentum": 0.0},
        may_be_0=("margin", "center_weight", "momentum"),
        residual=center_contrastive_residual,
        reference="a reading of Cai, Xiong, Tian 2023 by others",
    ),
}

__all__ = [
    "LOSSES", "arcface", "center_contrastive", "contrastive", "info_nce", "n_pair", "sup_con", "triplet",
]  # fmt: skip
