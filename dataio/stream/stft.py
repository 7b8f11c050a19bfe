"""draft"""
from typing import Any
import numpy as np
from numba import njit
from dataio.stream.fft import dft16
from dataio.stream.lanes import LANES, exponent_mantissa, load, load_word, maximum, splat, square_root, store, where_greater

WINDOW, HOP, BINS = 512, 160, 257
KINDS = {"log": 0, "magnitude": 1, "complex": 2, "ipd": 3}
FLOOR = np.float32(1e-5)
IPD_FLOOR = np.float32(1e-10)
HALF = WINDOW // 2
PITCH = LANES + 3
_n = np.arange(WINDOW)
HANN = (0.5 * (0.5 - 0.5 * np.cos(2 * np.pi * _n / WINDOW))).astype(np.float32)
_j, _k = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
TW = np.exp(-2j * np.pi * _j * _k / HALF)
TW_RE, TW_IM = TW.real.astype(np.float32), TW.imag.astype(np.float32)
COS = np.cos(2 * np.pi * np.arange(HALF) / WINDOW).astype(np.float32)
SIN = np.sin(2 * np.pi * np.arange(HALF) / WINDOW).astype(np.float32)
LOG2 = np.float32(np.log(2))
ONE = np.float32(1)
C0, C1, C2, C3, C4, C5, C6 = (np.float32(v) for v in (1.0000032477394918, -0.5000196515944575, 0.33303297930673004, -0.24881338870245323, 0.20604677758884674, -0.18901985966270923, 0.11827470719599528))
P3 = 2 * LANES


@njit(forceinline=True)
def log(x):
    e, m = exponent_mantissa(x)
    f = m - splat(ONE)
    p = C6 * f + splat(C5)
    p = p * f + splat(C4)
    p = p * f + splat(C3)
    p = p * f + splat(C2)
    p = p * f + splat(C1)
    p = p * f + splat(C0)
    return LOG2 * e + p * f


@njit(forceinline=True)
def power(re, im):
    return re * re + im * im


@njit(forceinline=True)
def windowed(x, w, at, n):
    """two samples"""
    return (w[n] * load(x, at), w[n + 1] * load(x, at + PITCH))


@njit(forceinline=True)
def at16(z, base, step):
    return (load(z, base), load(z, base + LANES), load(z, base + step), load(z, base + step + LANES),
            load(z, base + 2 * step), load(z, base + 2 * step + LANES), load(z, base + 3 * step), load(z, base + 3 * step + LANES),
            load(z, base + 4 * step), load(z, base + 4 * step + LANES), load(z, base + 5 * step), load(z, base + 5 * step + LANES),
            load(z, base + 6 * step), load(z, base + 6 * step + LANES), load(z, base + 7 * step), load(z, base + 7 * step + LANES),
            load(z, base + 8 * step), load(z, base + 8 * step + LANES), load(z, base + 9 * step), load(z, base + 9 * step + LANES),
            load(z, base + 10 * step), load(z, base + 10 * step + LANES), load(z, base + 11 * step), load(z, base + 11 * step + LANES),
            load(z, base + 12 * step), load(z, base + 12 * step + LANES), load(z, base + 13 * step), load(z, base + 13 * step + LANES),
            load(z, base + 14 * step), load(z, base + 14 * step + LANES), load(z, base + 15 * step), load(z, base + 15 * step + LANES))


@njit(forceinline=True)
def first(x, w, z):
    for j in range(16):
        n = 2 * j
        a = n * PITCH
        H = 32 * PITCH
        y = dft16(
            windowed(x, w, a, n) + windowed(x, w, a + H, n + 32) + windowed(x, w, a + 2 * H, n + 64)
            + windowed(x, w, a + 3 * H, n + 96) + windowed(x, w, a + 4 * H, n + 128) + windowed(x, w, a + 1, n + 160)
            + windowed(x, w, a + H + 1, n + 192) + windowed(x, w, a + 2 * H + 1, n + 224) + windowed(x, w, a + 3 * H + 1, n + 256)
            + windowed(x, w, a + 4 * H + 1, n + 288) + windowed(x, w, a + 2, n + 320) + windowed(x, w, a + H + 2, n + 352)
            + windowed(x, w, a + 2 * H + 2, n + 384) + windowed(x, w, a + 3 * H + 2, n + 416) + windowed(x, w, a + 4 * H + 2, n + 448)
            + windowed(x, w, a + 3, n + 480)
        )
        put(z, j, 0, y[0], y[1])
        put(z, j, 1, y[2], y[3])
        put(z, j, 2, y[4], y[5])
        put(z, j, 3, y[6], y[7])
        put(z, j, 4, y[8], y[9])
        put(z, j, 5, y[10], y[11])
        put(z, j, 6, y[12], y[13])
        put(z, j, 7, y[14], y[15])
        put(z, j, 8, y[16], y[17])
        put(z, j, 9, y[18], y[19])
        put(z, j, 10, y[20], y[21])
        put(z, j, 11, y[22], y[23])
        put(z, j, 12, y[24], y[25])
        put(z, j, 13, y[26], y[27])
        put(z, j, 14, y[28], y[29])
        put(z, j, 15, y[30], y[31])


@njit(forceinline=True)
def put(z, j, k, re, im):
    wr, wi = TW_RE[j, k], TW_IM[j, k]
    at = (k * 16 + j) * P3
    store(z, at, wr * re - wi * im)
    store(z, at + LANES, wr * im + wi * re)


@njit
def second(z, k):
    b = k * 16 * P3
    y = dft16(at16(z, b, P3))
    store(z, b, y[0]); store(z, b + LANES, y[1])
    b += P3
    store(z, b, y[2]); store(z, b + LANES, y[3])
    b += P3
    store(z, b, y[4]); store(z, b + LANES, y[5])
    b += P3
    store(z, b, y[6]); store(z, b + LANES, y[7])
    b += P3
    store(z, b, y[8]); store(z, b + LANES, y[9])
    b += P3
    store(z, b, y[10]); store(z, b + LANES, y[11])
    b += P3
    store(z, b, y[12]); store(z, b + LANES, y[13])
    b += P3
    store(z, b, y[14]); store(z, b + LANES, y[15])
    b += P3
    store(z, b, y[16]); store(z, b + LANES, y[17])
    b += P3
    store(z, b, y[18]); store(z, b + LANES, y[19])
    b += P3
    store(z, b, y[20]); store(z, b + LANES, y[21])
    b += P3
    store(z, b, y[22]); store(z, b + LANES, y[23])
    b += P3
    store(z, b, y[24]); store(z, b + LANES, y[25])
    b += P3
    store(z, b, y[26]); store(z, b + LANES, y[27])
    b += P3
    store(z, b, y[28]); store(z, b + LANES, y[29])
    b += P3
    store(z, b, y[30]); store(z, b + LANES, y[31])


@njit(forceinline=True)
def bins(z, k, p, q):
    zr, zi, yr, yi = load(z, p), load(z, p + LANES), load(z, q), load(z, q + LANES)
    ar, ai = zr + yr, zi - yi
    br, bi = zi + yi, yr - zr
    c, s = COS[k], SIN[k]
    tr, ti = c * br + s * bi, c * bi - s * br
    return ar + tr, ai + ti, ar - tr, ti - ai


@njit(forceinline=True)
def emit(kind, out, at, plane, lr, li, rr, ri):
    if kind == 0:
        store(out, at, log(maximum(power(lr, li), splat(FLOOR))))
        store(out, at + plane, log(maximum(power(rr, ri), splat(FLOOR))))
    elif kind == 1:
        store(out, at, square_root(power(lr, li)))
        store(out, at + plane, square_root(power(rr, ri)))
    elif kind == 2:
        store(out, at, lr)
        store(out, at + plane, li)
        store(out, at + 2 * plane, rr)
        store(out, at + 3 * plane, ri)
    else:
        a, b = power(lr, li), power(rr, ri)
        c, s = lr * rr + li * ri, li * rr - lr * ri
        n = splat(ONE) / square_root(maximum(a * b, splat(np.float32(1e-30))))
        quiet = where_greater(a, splat(IPD_FLOOR), b, a)
        store(out, at, where_greater(quiet, splat(IPD_FLOOR), c * n, splat(ONE)))
        store(out, at + plane, where_greater(quiet, splat(IPD_FLOOR), s * n, splat(np.float32(0))))


@njit(nogil=True, cache=True)
def kernel(pcm, gains, out, frames, kind, hann):
    samples = pcm.size // 2
    plane = BINS * frames
    w = np.empty(2 * WINDOW, np.float32)
    for n in range(WINDOW):
        w[n] = hann[n] * gains[0]
        w[WINDOW + n] = hann[n] * gains[1]
    wl, wr = w[:WINDOW], w[WINDOW:]
    x = np.empty(2 * HOP * PITCH, np.float32)
    xl, xr = x[:HOP * PITCH], x[HOP * PITCH:]
    z = np.empty(2 * HALF * P3, np.float32)
    zl, zr = z[:HALF * P3], z[HALF * P3:]
    step = 0
    while step < frames:
        t0 = min(step, frames - LANES)
        step += LANES
        start = t0 * HOP - HALF
        if start >= 0 and start + PITCH * HOP <= samples:
            for t in range(PITCH):
                for p in range(HOP):
                    word = load_word(pcm, start + t * HOP + p)
                    xl[p * PITCH + t] = np.float32(np.int16(word))
                    xr[p * PITCH + t] = np.float32(word >> 16)
        else:
            for t in range(PITCH):
                for p in range(HOP):
                    i = abs(start + t * HOP + p)
                    if i >= samples:
                        i = max(2 * (samples - 1) - i, 0)
                    xl[p * PITCH + t] = np.float32(pcm[2 * i])
                    xr[p * PITCH + t] = np.float32(pcm[2 * i + 1])
        first(xl, wl, zl)
        first(xr, wr, zr)
        for k1 in range(9):
            k1m = (16 - k1) % 16
            second(zl, k1)
            second(zr, k1)
            if k1m != k1:
                second(zl, k1m)
                second(zr, k1m)
            for k2 in range(9 if k1 == 0 else 8 if k1 == 8 else 16):
                k = k1 + 16 * k2
                a = (k1 * 16 + k2) * P3
                b = (k1m * 16 + ((16 - k2) % 16 if k1 == 0 else 15 - k2)) * P3
                lr, li, mr, mi = bins(zl, k, a, b)
                rr, ri, sr, si = bins(zr, k, a, b)
                emit(kind, out, k * frames + t0, plane, lr, li, rr, ri)
                emit(kind, out, (HALF - k) * frames + t0, plane, mr, mi, sr, si)


def columns(samples: int) -> int:
    return 1 + samples // HOP


def spectrogram(pcm, gains, out, kind):
    kernel(pcm.reshape(-1), gains / np.float32(32768), out.reshape(-1), columns(len(pcm)), KINDS[kind], HANN)
