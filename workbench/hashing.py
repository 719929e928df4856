"""Hashes of character n-grams: plain Python for a few words, which `kernels` compiles for whole vocabularies."""


def fill_buckets(data, ends, min_n, max_n, n_buckets, indptr, values):
    """Find the bucket of every character n-gram of some words: FNV-1a, one hash a start, extended by each character.

    Source: fastText, `Dictionary::computeSubwords` and `Dictionary::hash`. Its bytes are *signed*, so a byte
    above 127 sets the upper 24 bits too.

    Parameters
    ----------
    data : bytes or uint8 array
        The words in UTF-8 with their marks, ``<word>``, one after another.
    ends : (n_words,) int64 array
        Where each word ends in `data`.
    min_n, max_n, n_buckets : int
    indptr : (n_words + 1,) int64 array, written
        Word ``i`` owns ``values[indptr[i]:indptr[i + 1]]``.
    values : int32 array, written
        With room for all n-grams.
    """
    count = 0
    begin = 0
    indptr[0] = 0
    for i in range(len(ends)):
        stop = ends[i]
        for start in range(begin, stop):
            if data[start] & 0xC0 == 0x80:  # the middle of a code point
                continue
            hashed = 2166136261
            end = start
            n = 0
            while end < stop and n < max_n:
                n += 1
                first = True
                while end < stop and (first or data[end] & 0xC0 == 0x80):
                    byte = int(data[end])
                    if byte > 127:
                        byte |= 0xFFFFFF00
                    hashed = ((hashed ^ byte) * 16777619) & 0xFFFFFFFF
                    end += 1
                    first = False
                a_mark_alone = n == 1 and (start == begin or end == stop)
                if n >= min_n and not a_mark_alone:
                    values[count] = hashed % n_buckets
                    count += 1
        begin = stop
        indptr[i + 1] = count


def fill_finalfusion_buckets(points, ends, min_n, max_n, n_buckets, indptr, values):
    """Find the bucket of every n-gram of some words as finalfusion does; arguments are those of `fill_buckets`.

    FNV-1a over the n-gram's length, as eight bytes, and then over its code points, four bytes each, little end first.
    Buckets are the lowest of 64 bits, which depend on no higher ones: 32 bits do, with the prime and the start
    taken modulo 2**32. A mark alone is an n-gram. Source: finalfusion, `FinalfusionHashIndexer`.

    Parameters
    ----------
    points : uint32 array, or list of int
        The code points of the words with their marks, one after another; `ends` counts them.
    n_buckets : int
        A power of two, at most 2**31.
    """
    count = 0
    begin = 0
    indptr[0] = 0
    for i in range(len(ends)):
        stop = ends[i]
        for start in range(begin, stop):
            for n in range(min_n, min(max_n, stop - start) + 1):
                hashed = 0x84222325
                rest = n
                for _ in range(8):
                    hashed = ((hashed ^ (rest & 0xFF)) * 435) & 0xFFFFFFFF
                    rest >>= 8
                for at in range(start, start + n):
                    rest = int(points[at])
                    for _ in range(4):
                        hashed = ((hashed ^ (rest & 0xFF)) * 435) & 0xFFFFFFFF
                        rest >>= 8
                values[count] = hashed & (n_buckets - 1)
                count += 1
        begin = stop
        indptr[i + 1] = count
