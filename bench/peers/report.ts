/** Results beside rivals as Markdown. Also a program: `bin/node-24 bench/peers/report.ts bench/results/peers.json`. */
import { readFileSync } from 'node:fs';
import type { Spread } from '../statistics.ts';
import type { PeerCaseResult, PeerResults } from './results.ts';

export function peerReport(results: PeerResults): string {
  const { machine, settings } = results;
  const gigabytes = (machine.memoryBytes / 2 ** 30).toFixed(0);
  const versions = Object.entries(results.versions).map(([name, version]) => `${name} ${version}`);
  const parts = [
    '# Slipway beside other model servers',
    `${results.at.slice(0, 10)}: ${machine.processor}, ${machine.cores} cores, ${gigabytes} GiB, ${machine.system}, Node ${machine.node}, ` +
      `onnxruntime-node ${machine.onnxruntimeNode}; load average before: ${machine.loadBefore}. ${versions.join(', ')}.`,
    `Every figure is the median of ${settings.rounds} loads of ${settings.seconds} s (least–most), and a ratio is between two loads of one round. ` +
      'The server with all its processes has one core, the load generator another; `busy` is how busy that one was: near 1, it was the limit.',
    ...results.cases.map((one) => caseSection(one, machine.cores)),
    costsSection(results),
    ...results.failures.map((one) => `**${one.server} did not start with ${one.model}:** ${one.reason.split('\n')[0]}`),
  ];
  return `${parts.join('\n\n')}\n`;
}

function caseSection(one: PeerCaseResult, cores: number): string {
  const lines = [`## ${one.case.title}`, ''];
  if (one.case.cores === 'two') {
    lines.push(
      cores > 2
        ? 'The server may use two cores, the load generator has a third.'
        : 'The server may use both cores of the machine, and the load generator shares them, for every server alike.',
      '',
    );
  }
  const slipways = one.figures.filter((figure) => figure.kind === 'slipway').map((figure) => figure.server);
  const columns = slipways.map((name) => `${name} is`);
  lines.push(
    `| server | requests/s | p50 ms | p99 ms | failed | busy |${columns.map((name) => ` ${name} |`).join('')}`,
    `|---|---|---|---|---|---|${columns.map(() => '---|').join('')}`,
  );
  const sorted = [...one.figures].sort((a, b) => b.requestsPerSecond.median - a.requestsPerSecond.median);
  for (const figure of sorted) {
    const name = figure.kind === 'slipway' ? `**${figure.server}**` : figure.server;
    const ratios = slipways.map((slipway) => {
      const ratio = one.ratios.find((it) => it.slipway === slipway && it.rival === figure.server);
      if (ratio === undefined) return ' |';
      const target = ratio.target === null ? '' : ` (${ratio.target.text}: ${ratio.target.reached ? 'yes' : '**no**'})`;
      return ` ${shown(ratio.requests)}×${target} |`;
    });
    const cells = [name, count(figure.requestsPerSecond), shown(figure.p50Ms), shown(figure.p99Ms)];
    lines.push(`| ${cells.join(' | ')} | ${figure.failed} | ${figure.loadCoresBusy} |${ratios.join('')}`);
  }
  return lines.join('\n');
}

function costsSection(results: PeerResults): string {
  return [
    '## Start and memory',
    '',
    '| server | model | launch to first prediction, s | PSS of all processes after the load, MB | processes | how it runs |',
    '|---|---|---|---|---|---|',
    ...results.costs.map(
      (cost) =>
        `| ${cost.server} | ${cost.model} | ${shown(cost.startS)} | ${shown(cost.pssMb)} | ${cost.processes} | ${cost.note} |`,
    ),
  ].join('\n');
}

function count({ median, min, max }: Spread): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
  return `${whole(median)} (${whole(min)}–${whole(max)})`;
}

export function shown({ median, min, max }: Spread): string {
  const short = (value: number): string => String(Number(value.toPrecision(3)));
  return `${short(median)} (${short(min)}–${short(max)})`;
}

if (import.meta.main) {
  const path = process.argv[2];
  if (path === undefined) throw new Error('usage: peers/report.ts <peers.json>');
  console.log(peerReport(JSON.parse(readFileSync(path, 'utf8')) as PeerResults));
}
