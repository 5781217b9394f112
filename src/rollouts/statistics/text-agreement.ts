/** How far two texts agree, without a language model: words in common. */

const WORD = /[\p{L}\p{N}]+/gu;

/** Lower-case words: runs of letters and digits of any script. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(WORD) ?? [];
}

/** F1 of the words that both have, each as often as both have it. 1 where both have none, 0 where one has none. */
export function tokenF1(first: string, second: string): number {
  const a = wordsOf(first);
  const b = wordsOf(second);
  if (a.length === 0 || b.length === 0) return a.length === b.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of a) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of b) {
    const count = left.get(word) ?? 0;
    if (count > 0) {
      common++;
      left.set(word, count - 1);
    }
  }
  return f1(common, a.length, b.length);
}

/** Longest words compared by `rougeL`: its cost is the product of both lengths. */
const MAX_WORDS = 2000;

/** ROUGE-L: F1 of the longest common subsequence of words; of longer texts the first 2,000 words. */
export function rougeL(first: string, second: string): number {
  const a = wordsOf(first).slice(0, MAX_WORDS);
  const b = wordsOf(second).slice(0, MAX_WORDS);
  if (a.length === 0 || b.length === 0) return a.length === b.length ? 1 : 0;
  let above = new Uint16Array(b.length + 1);
  for (const word of a) {
    const row = new Uint16Array(b.length + 1);
    for (let at = 1; at <= b.length; at++)
      row[at] = b[at - 1] === word ? above[at - 1]! + 1 : Math.max(above[at]!, row[at - 1]!);
    above = row;
  }
  return f1(above[b.length]!, a.length, b.length);
}

/** Cosine of two vectors, such as embeddings; null where one has no length. */
export function cosine(first: readonly number[], second: readonly number[]): number | null {
  if (first.length !== second.length) throw new RangeError('vectors of one length are needed');
  let product = 0;
  let one = 0;
  let other = 0;
  first.forEach((value, at) => {
    product += value * second[at]!;
    one += value * value;
    other += second[at]! * second[at]!;
  });
  return one === 0 || other === 0 ? null : product / Math.sqrt(one * other);
}

function f1(common: number, first: number, second: number): number {
  return common === 0 ? 0 : (2 * common) / (first + second);
}
