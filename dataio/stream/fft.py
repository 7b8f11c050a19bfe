"""Fourier transforms of 16 frames at once: DFTs of 4 and 16 points on values that may be lanes (see lanes.py) or plain float32.

Complex values travel as (re, im) pairs flattened into tuples; everything is inlined into the caller and stays in registers as far as
there are any.
"""

from typing import Any

import numpy as np
from numba import njit

COS_8 = np.float32(np.cos(np.pi / 8))
SIN_8 = np.float32(np.sin(np.pi / 8))
HALF_ROOT = np.float32(np.sqrt(0.5))


@njit(forceinline=True)
def dft4(ar: Any, ai: Any, br: Any, bi: Any, cr: Any, ci: Any, dr: Any, di: Any) -> Any:
    """DFT of four complex values in natural order, 16 additions."""
    sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
    ur, ui, vr, vi = br + dr, bi + di, br - dr, bi - di
    return sr + ur, si + ui, tr + vi, ti - vr, sr - ur, si - ui, tr - vi, ti + vr


@njit(forceinline=True)
def turn(wr: Any, wi: Any, xr: Any, xi: Any) -> Any:
    """(wr + i·wi) · (xr + i·xi)."""
    return wr * xr - wi * xi, wr * xi + wi * xr


@njit(forceinline=True)
def pairs(x: Any) -> Any:
    """Four complex values apart."""
    return (x[0], x[1]), (x[2], x[3]), (x[4], x[5]), (x[6], x[7])


@njit(forceinline=True)
def dft16(x: Any) -> Any:
    """DFT of 16 complex values, as 4 × 4; x and the result are tuples (re0, im0, re1, im1, …) in natural order."""
    # four transforms over every fourth value
    a0r, a0i, a1r, a1i, a2r, a2i, a3r, a3i = dft4(x[0], x[1], x[8], x[9], x[16], x[17], x[24], x[25])
    b0r, b0i, b1r, b1i, b2r, b2i, b3r, b3i = dft4(x[2], x[3], x[10], x[11], x[18], x[19], x[26], x[27])
    c0r, c0i, c1r, c1i, c2r, c2i, c3r, c3i = dft4(x[4], x[5], x[12], x[13], x[20], x[21], x[28], x[29])
    d0r, d0i, d1r, d1i, d2r, d2i, d3r, d3i = dft4(x[6], x[7], x[14], x[15], x[22], x[23], x[30], x[31])
    # twiddles exp(-2πi·row·column/16)
    b1r, b1i = turn(COS_8, -SIN_8, b1r, b1i)
    b2r, b2i = HALF_ROOT * (b2r + b2i), HALF_ROOT * (b2i - b2r)
    b3r, b3i = turn(SIN_8, -COS_8, b3r, b3i)
    c1r, c1i = HALF_ROOT * (c1r + c1i), HALF_ROOT * (c1i - c1r)
    c2r, c2i = c2i, -c2r
    c3r, c3i = HALF_ROOT * (c3i - c3r), -HALF_ROOT * (c3r + c3i)
    d1r, d1i = turn(SIN_8, -COS_8, d1r, d1i)
    d2r, d2i = HALF_ROOT * (d2i - d2r), -HALF_ROOT * (d2r + d2i)
    d3r, d3i = turn(-COS_8, SIN_8, d3r, d3i)
    # and four across: entry k + 4j of the result is entry j of transform k
    y0, y4, y8, y12 = pairs(dft4(a0r, a0i, b0r, b0i, c0r, c0i, d0r, d0i))
    y1, y5, y9, y13 = pairs(dft4(a1r, a1i, b1r, b1i, c1r, c1i, d1r, d1i))
    y2, y6, y10, y14 = pairs(dft4(a2r, a2i, b2r, b2i, c2r, c2i, d2r, d2i))
    y3, y7, y11, y15 = pairs(dft4(a3r, a3i, b3r, b3i, c3r, c3i, d3r, d3i))
    return y0 + y1 + y2 + y3 + y4 + y5 + y6 + y7 + y8 + y9 + y10 + y11 + y12 + y13 + y14 + y15
