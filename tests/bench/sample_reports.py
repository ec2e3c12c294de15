"""Reports with figures that nobody measured, to be shown, drawn and written."""

import msgspec

from veilsum.bench.machine import Machine
from veilsum.bench.report import Arithmetic, Costs, PeakMemory, Reference, Report, Symmetric, ratio
from veilsum.bench.round_report import RoundReport
from veilsum.bench.settlement_report import SettlementReport
from veilsum.bench.shares_report import (
    Packed,
    Questions,
    SharesArithmetic,
    SharesReference,
    SharesReport,
)
from veilsum.bench.timeline import Spread, Stage, Stages

MACHINE = Machine("2026-11-21", "A processor", 2, 24, "Linux x86_64", "3.11.7", "2.4", "0.3", 0.5)
REFERENCE = Reference(
    parameters=1_000_000,
    participants=2,
    distinct_participants=2,
    bytes_per_parameter_up=57.59,
    bytes_per_parameter_down=57.58,
    protect_us_per_parameter=0.8280,
    fold_us_per_parameter=0.1140,
    hash_us_per_parameter=0.0423,
    finish_us_per_parameter=0.1280,
    open_us_per_parameter=0.2660,
    peak_rss_mib=PeakMemory(60, 93, 101, 89),
    exact=True,
    name="the reference",
    symmetric=Symmetric(57.50, 0.493),
)
OURS = Costs(
    parameters=1_000_000,
    participants=8,
    distinct_participants=8,
    bytes_per_parameter_up=7.53,
    bytes_per_parameter_down=7.52,
    protect_us_per_parameter=0.1270,
    fold_us_per_parameter=0.0042,
    hash_us_per_parameter=0.0135,
    finish_us_per_parameter=0.0073,
    open_us_per_parameter=0.0503,
    peak_rss_mib=PeakMemory(44, 63, 48, 58),
    exact=True,
)
SHARES_OWN = {"bytes_per_parameter_up": 8.03, "protect_us_per_parameter": 0.0420}
SCHEME = Report(
    **{name: getattr(OURS, name) for name in OURS.__struct_fields__},
    scheme="ckks",
    value_bits=16,
    arithmetic=Arithmetic(4096, 60, 21, 2, 8192, -54.6),
    reference=REFERENCE,
    ratio=ratio(OURS, REFERENCE),
    machine=MACHINE,
    seconds=3.0,
)
SHARES = SharesReport(
    **{name: getattr(OURS, name) for name in OURS.__struct_fields__ if name not in SHARES_OWN},
    **SHARES_OWN,
    scheme="shares",
    value_bits=16,
    arithmetic=SharesArithmetic(64, 3, 1, 32_256),
    aes_ctr_us_per_parameter=0.0021,
    protect_beyond_aes_ctr_us_per_parameter=0.0399,
    fold_gb_per_second=2.49,
    accept_gb_per_second=0.41,
    seals_bytes=3624,
    questions=Questions(1.79, 2.27, 22.83, 5.73, True),
    packed=Packed(3, 2.67, 0.0167, 0.0022, True),
    reference=SharesReference(
        **{name: getattr(REFERENCE, name) for name in OURS.__struct_fields__ if name != "exact"},
        exact=True,
        name="the other reference",
    ),
    ratio=ratio(OURS, REFERENCE),
    machine=MACHINE,
    seconds=11.0,
)
ROUND = RoundReport(
    scheme="ckks",
    parameters=11_700_000,
    participants=8,
    value_bits=16,
    auditor=False,
    bytes_per_parameter_up=7.531,
    seconds=41.25,
    stages=Stages(
        keying=Stage(0.0, 1.0),
        prepare=Stage(1.0, 2.0, Spread(1.0, 1.5, 2.0)),
        protect=Stage(2.0, 20.0, Spread(10.0, 15.0, 20.0), Spread(4.2, 5.6, 8.4)),
        upload=Stage(1.5, 25.0, Spread(3.0, 4.0, 5.0), Spread(16.8, 21.0, 28.0)),
        fold=Stage(27.0, 5.0),
        open=Stage(32.0, 3.0, Spread(2.0, 2.5, 3.0)),
        seal=Stage(35.0, 2.0),
        agree=Stage(37.0, 2.0),
        adopt=Stage(39.0, 2.25),
    ),
    peak_rss_mib={"coordinator": 130.4, "agent": 97.0, "worker": 310.0, "encryptor": 70.0},
    exact=True,
    machine=MACHINE,
)
SHARED_ROUND = msgspec.structs.replace(
    ROUND,
    scheme="shares",
    bytes_per_parameter_up=8.003,
    stages=msgspec.structs.replace(
        ROUND.stages,
        keying=None,
        fold=None,
        planning=Stage(0.0, 0.5),
        judge=Stage(26.0, 6.0),
        certify=Stage(32.0, 0.5),
        add=Stage(32.5, 9.0),
    ),
    peak_rss_mib={"coordinator": 131.0, "agent": 97.0, "worker": 310.0, "seat": 240.0},
)

SETTLEMENT = SettlementReport(
    rules="Prague",
    leaf_words=256,
    tree_depth=16,
    commit_gas={10: 124_000, 1_000: 124_100},
    claim_gas_first={10: 103_000, 1_000: 108_000},
    claim_gas_later={10: 69_000, 1_000: 74_000},
    challenge_gas={10: 287_000, 1_000: 307_000},
    challenge_bytes={10: 5_728, 1_000: 6_112},
    challenge_leaf_gas={10: 205_000, 1_000: 225_000},
    demand_gas={10: 151_000, 1_000: 151_100},
    answer_gas={10: 148_000, 1_000: 160_000},
    once_gas={
        "bond": 110_000,
        "collect": 40_000,
        "expire": 137_000,
        "fund": 91_000,
        "open": 290_000,
        "register": 171_000,
        "seal": 45_000,
        "thaw": 81_000,
        "withdraw": 64_000,
    },
    deploy_gas={"Settlement": 4_500_000, "ModelRegistry": 434_000},
    machine=MACHINE,
    seconds=60.0,
)
