/** Durations below 100 ms in steps of 10 us, as text: a number made into text costs far more than a look into a table. */
const TEXTS: readonly string[] = Array.from({ length: 10_000 }, (_, i) => `${i / 100}`);

function text(milliseconds: number): string {
  return TEXTS[Math.round(milliseconds * 100)] ?? `${Math.round(Math.max(0, milliseconds))}`;
}

/** The value of `Server-Timing` (W3C) of an answered prediction: its stages, in milliseconds. */
export function stagesTiming(parseMs: number, queueMs: number, runMs: number, writeMs: number): string {
  return `parse;dur=${text(parseMs)}, queue;dur=${text(queueMs)}, run;dur=${text(runMs)}, write;dur=${text(writeMs)}`;
}

/** Of every other answer: the whole time. */
export function totalTiming(milliseconds: number): string {
  return `total;dur=${text(milliseconds)}`;
}
