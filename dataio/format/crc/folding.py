"""The code of folding_code.py, compiled for this processor where it has the instructions."""

from functools import lru_cache

_NEEDED = ("avx512f", "vpclmulqdq", "pclmul", "sse4.2")


def address(function: str) -> int:
    """Where `uint32 extend(uint32 crc, const char *data, size_t count)` or `uint32 times(uint32, uint32)` lies; 0 where the
    processor lacks the instructions.
    """
    engine = _engine()
    return engine.get_function_address(function) if engine else 0


@lru_cache(1)
def _engine():
    from llvmlite import binding as llvm

    from dataio.format.crc.folding_code import code

    try:
        can = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this kind of machine
        return None
    if not all(can.get(feature) for feature in _NEEDED):
        return None
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=can.flatten(), opt=3, jit=True
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(code()), target)
    engine.finalize_object()
    return engine
