/** Results beside rivals as one SVG file, readable on light and dark pages. Also a program: `peers/chart.ts <peers.json> <chart.svg>`. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Spread } from '../statistics.ts';
import { targetOf } from './cases.ts';
import type { PeerResults } from './results.ts';

const WIDTH = 900;
const LEFT = 245;
const RIGHT = 70;
const BAR = 14;
const GAP = 4;
const TRITON = 'triton-ort';
const SINGLE_ROW = 'tab, one JSON row, c=16';

const STYLE = `
  svg { font: 13px system-ui, sans-serif; }
  .page { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; } .grid { stroke: #d1d9e0; } .one { stroke: #1f2328; }
  .title { font-weight: 600; font-size: 15px; } .spread { stroke: #1f2328; stroke-width: 1.5; }
  .s0 { fill: #0969da; } .s1 { fill: #54aeff; } .rival { fill: #8c959f; } .mark { fill: #d1d9e0; } .target { fill: none; stroke: #cf222e; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; } text { fill: #f0f6fc; } .faint { fill: #9198a1; } .grid { stroke: #3d444d; } .one { stroke: #f0f6fc; }
    .spread { stroke: #f0f6fc; } .s0 { fill: #4493f8; } .s1 { fill: #1f4f91; } .rival { fill: #656c76; } .mark { fill: #3d444d; } .target { stroke: #f85149; }
  }`;

type Bar = {
  readonly label: string;
  readonly style: string;
  readonly value: Spread;
  readonly target?: number | undefined;
};
type Group = { readonly label: string; readonly bars: readonly Bar[] };

export function peerChart(results: PeerResults): string {
  const forms = [...new Set(results.cases.flatMap((one) => one.ratios.map((ratio) => ratio.slipway)))];
  const against = results.cases.flatMap((one): Group[] => {
    const bars = one.ratios
      .filter((ratio) => ratio.rival === TRITON)
      .map((ratio) => ({
        label: ratio.slipway,
        style: `s${forms.indexOf(ratio.slipway)}`,
        value: ratio.requests,
        target: targetOf(ratio.slipway, ratio.rival, one.case.title)?.ratio,
      }));
    return bars.length === 0 ? [] : [{ label: one.case.title, bars }];
  });
  const single = results.cases.find((one) => one.case.title === SINGLE_ROW)?.figures ?? [];
  const servers = [...single]
    .sort((a, b) => b.requestsPerSecond.median - a.requestsPerSecond.median)
    .map((figure): Group => {
      const style = figure.kind === 'slipway' ? `s${forms.indexOf(figure.server)}` : figure.kind;
      return { label: figure.server, bars: [{ label: figure.server, style, value: figure.requestsPerSecond }] };
    });
  let y = 20;
  const parts: string[] = [];
  const add = (panel: { svg: string; height: number }): void => {
    parts.push(`<g transform="translate(0 ${y})">${panel.svg}</g>`);
    y += panel.height + 30;
  };
  if (against.length > 0) {
    const title = `Requests per second over those of Triton in the same minute (${TRITON} = 1)`;
    add(panel(title, against, { unit: '×', line: 1, legend: forms }));
  }
  if (servers.length > 0) {
    add(panel(`Requests per second on one core: ${SINGLE_ROW}`, servers, { unit: '', line: null, legend: [] }));
  }
  const { machine, at, settings } = results;
  const foot = `${at.slice(0, 10)}, ${machine.processor}, ${machine.cores} cores; medians of ${settings.rounds} loads, lines from least to most, red: what is aimed at`;
  parts.push(text(20, y, foot, 'faint'));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 20}" width="${WIDTH}" height="${y + 20}" role="img" aria-label="Slipway beside other model servers">` +
    `<style>${STYLE}\n</style><rect class="page" width="${WIDTH}" height="${y + 20}"/>${parts.join('\n')}</svg>\n`
  );
}

/** Groups of horizontal bars from zero, each with its spread and, where there is one, its target. */
function panel(
  title: string,
  groups: readonly Group[],
  how: { unit: string; line: number | null; legend: readonly string[] },
): { svg: string; height: number } {
  const bars = groups.flatMap((group) => group.bars);
  const most = Math.max(...bars.map((bar) => Math.max(bar.value.max, bar.target ?? 0)), how.line ?? 0);
  const step = niceStep(most / 6);
  const scale = (value: number): number => LEFT + (value / most) * (WIDTH - LEFT - RIGHT);
  const svg: string[] = [text(20, 14, title, 'title')];
  how.legend.forEach((name, i) => {
    svg.push(`<rect class="s${i}" x="${LEFT + i * 190}" y="26" width="12" height="12" rx="2"/>`);
    svg.push(text(LEFT + i * 190 + 18, 36, name));
  });
  const top = how.legend.length > 0 ? 62 : 40;
  let y = top;
  const drawn: string[] = [];
  for (const group of groups) {
    const height = group.bars.length * (BAR + 2);
    drawn.push(text(LEFT - 10, y + height / 2 + 4, group.label, '', 'end'));
    for (const bar of group.bars) {
      const { median, min, max } = bar.value;
      const middle = y + BAR / 2;
      drawn.push(
        `<rect class="${bar.style}" x="${LEFT}" y="${y}" width="${px(scale(median) - LEFT)}" height="${BAR}" rx="2"><title>${escaped(bar.label)}: ${number(median)} (${number(min)}–${number(max)})</title></rect>`,
        `<line class="spread" x1="${px(scale(min))}" x2="${px(scale(max))}" y1="${middle}" y2="${middle}"/>`,
      );
      if (bar.target !== undefined) {
        const x = px(scale(bar.target));
        drawn.push(`<path class="target" d="M${x} ${y - 1}V${y + BAR + 1}"/>`);
      }
      drawn.push(text(scale(Math.max(max, bar.target ?? 0)) + 6, middle + 4, `${number(median)}${how.unit}`, 'faint'));
      y += BAR + 2;
    }
    y += GAP + (how.legend.length > 0 ? 4 : 0);
  }
  const grid: string[] = [];
  for (let value = 0; value <= most; value += step) {
    const x = px(scale(value));
    const style = value === how.line ? 'one' : 'grid';
    grid.push(`<line class="${style}" x1="${x}" x2="${x}" y1="${top - 6}" y2="${y}"/>`);
    grid.push(text(scale(value), y + 14, number(value), 'faint', 'middle'));
  }
  return { svg: [...svg, ...grid, ...drawn].join('\n'), height: y + 18 };
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least) ?? 10 * power;
}

function text(x: number, y: number, words: string, style = '', anchor = 'start'): string {
  const classes = style === '' ? '' : ` class="${style}"`;
  return `<text x="${px(x)}" y="${px(y)}"${classes} text-anchor="${anchor}">${escaped(words)}</text>`;
}

const px = (value: number): number => Math.round(value * 10) / 10;
const number = (value: number): string =>
  Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 3 });
const escaped = (words: string): string => words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

if (import.meta.main) {
  const [from, to] = process.argv.slice(2);
  if (from === undefined || to === undefined) throw new Error('usage: peers/chart.ts <peers.json> <chart.svg>');
  writeFileSync(to, peerChart(JSON.parse(readFileSync(from, 'utf8')) as PeerResults));
}
