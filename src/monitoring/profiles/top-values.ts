/**
 * The most frequent values, by Misra-Gries counters (1982), merged as by Agarwal et al. (2012, "Mergeable summaries"): at most `CAPACITY`
 * counters, and a count is at most `n/(CAPACITY + 1)` below the truth and never above it; `error` says how much below it can be. With no
 * more different values than counters all is exact.
 *
 * In memory a value is known by its text. On disk, values that were seen fewer than `k` times are known by a keyed hash only, so rare ones,
 * which may be somebody's own, cannot be read from it; see `sealTopValues`.
 */
export const TOP_CAPACITY = 128;
/** A value is published only when at least this many predictions had it. */
export const K_ANONYMITY = 10;
/** Longer values are never listed as text. */
export const TOP_TEXT_CHARS = 80;

/** Numbers and booleans are known by themselves, which is quicker, and mean the same as their text. */
export type TopValue = string | number | boolean;
export type TopValues = { readonly counts: Map<TopValue, number>; error: number };

export function createTopValues(): TopValues {
  return { counts: new Map(), error: 0 };
}

export function addToTopValues(top: TopValues, value: TopValue): void {
  const { counts } = top;
  const known = counts.get(value);
  if (known !== undefined) counts.set(value, known + 1);
  else if (counts.size < TOP_CAPACITY) counts.set(value, 1);
  else {
    // Full: the new value and one of each known one cancel out.
    top.error += 1;
    for (const [other, count] of counts) {
      if (count === 1) counts.delete(other);
      else counts.set(other, count - 1);
    }
  }
}

/** A value as it is kept: its hash always, its text once enough had it. */
export type SealedValue = { readonly hash: string; readonly text: string | null; readonly count: number };
export type SealedTopValues = { readonly values: readonly SealedValue[]; readonly error: number };

/**
 * @param hashOf a keyed hash of a value, 16 hex digits: equal values of one project have equal ones, and nobody without the key can try values out
 * @param isCommon whether at least `K_ANONYMITY` predictions are known to have had it, counted over any time; by this summary's own count unless told
 */
export function sealTopValues(
  top: TopValues,
  hashOf: (value: string) => string,
  isCommon: (value: TopValue, count: number) => boolean = (_value, count) => count >= K_ANONYMITY,
): SealedTopValues {
  const values = [...top.counts].map(([value, count]): SealedValue => {
    const text = String(value);
    return {
      hash: hashOf(text),
      text: text.length <= TOP_TEXT_CHARS && isCommon(value, count) ? text : null,
      count,
    };
  });
  return { values: values.sort(byCount), error: top.error };
}

/** Both together. Exact while at most `CAPACITY` different values are known; else within the summed error, whatever the order. */
export function mergeTopValues(a: SealedTopValues, b: SealedTopValues): SealedTopValues {
  const sums = new Map<string, SealedValue>();
  for (const value of [...a.values, ...b.values]) {
    const known = sums.get(value.hash);
    sums.set(
      value.hash,
      known === undefined ? value : { ...known, text: known.text ?? value.text, count: known.count + value.count },
    );
  }
  const values = [...sums.values()].sort(byCount);
  const cut = values[TOP_CAPACITY]?.count ?? 0;
  const kept = cut === 0 ? values : values.map((value) => ({ ...value, count: value.count - cut }));
  return { values: kept.filter((value) => value.count > 0), error: a.error + b.error + cut };
}

/** What may be shown: values that at least `k` predictions had, the most frequent first. */
export function publishedValues(
  top: SealedTopValues,
  k = K_ANONYMITY,
): { readonly value: string; readonly count: number }[] {
  return top.values.flatMap(({ text, count }) => (text !== null && count >= k ? [{ value: text, count }] : []));
}

function byCount(a: SealedValue, b: SealedValue): number {
  return b.count - a.count || (a.hash < b.hash ? -1 : 1);
}
