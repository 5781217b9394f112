import type { ColumnProfile } from '@slipway/sdk';
import { figure, share } from '../parts/figures.ts';

const WIDTH = 260;
const HEIGHT = 60;

/** How values are spread: the bars are now, the line is the reference, or what was before. Of words, the most frequent ones. */
export function Spread({ now, other }: { now: ColumnProfile; other: ColumnProfile | null }) {
  const bars = barsOf(now);
  if (bars.length === 0) return <p className="small quiet">Too few values to draw.</p>;
  const old = other === null ? null : linedUp(barsOf(other), bars);
  const top = Math.max(...bars.map((bar) => bar.share), ...(old ?? [0]), 1e-9);
  const width = WIDTH / bars.length;
  const y = (value: number) => HEIGHT - (value / top) * (HEIGHT - 2);
  const largest = bars.reduce((a, b) => (b.share > a.share ? b : a));
  return (
    <>
      <svg className="spread" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {bars.map((bar, i) => (
          <rect
            key={bar.name}
            className="bar-now"
            x={i * width + 0.5}
            width={Math.max(0.5, width - 1)}
            y={y(bar.share)}
            height={HEIGHT - y(bar.share)}
          />
        ))}
        {old && (
          <path
            className="line-other"
            d={old.map((value, i) => `${i === 0 ? 'M' : 'L'}${i * width} ${y(value)}H${(i + 1) * width}`).join('')}
          />
        )}
      </svg>
      <p className="small quiet">
        Most are {largest.name}
        {now.histogram !== null && now.kinds.numbers === 0 ? ' long' : ''} ({share(largest.share)}).
      </p>
    </>
  );
}

type Bar = { name: string; share: number };

function barsOf({ histogram, top, values }: ColumnProfile): Bar[] {
  if (histogram !== null) {
    const total = histogram.counts.reduce((sum, amount) => sum + amount, 0);
    if (total === 0) return [];
    return histogram.counts.map((amount, i) => ({
      name: `${edge(histogram.edges[i - 1])} to ${edge(histogram.edges[i])}`,
      share: amount / total,
    }));
  }
  return top.slice(0, 12).map(({ value, count }) => ({ name: value, share: count / Math.max(1, values) }));
}

function edge(value: number | undefined): string {
  return value === undefined ? '…' : figure(value);
}

function linedUp(old: readonly Bar[], bars: readonly Bar[]): number[] | null {
  const of = new Map(old.map((bar) => [bar.name, bar.share]));
  // Other edges cannot be drawn over these.
  return bars.some((bar) => of.has(bar.name)) ? bars.map((bar) => of.get(bar.name) ?? 0) : null;
}
