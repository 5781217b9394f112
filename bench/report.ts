/** Results as Markdown. Also a program: `bin/node-24 bench/report.ts bench/results/serving.json`. */
import { readFileSync } from 'node:fs';
import type { BenchResult } from './serving.ts';
import type { Spread } from './statistics.ts';
import type { CaseResult } from './throughput.ts';

export function reportOf(result: BenchResult): string {
  const { machine } = result;
  const gigabytes = (machine.memoryBytes / 2 ** 30).toFixed(0);
  return [
    `${result.at.slice(0, 10)}: ${machine.processor}, ${machine.cores} cores, ${gigabytes} GiB, ${machine.system}, Node ${machine.node}, ` +
      `onnxruntime-node ${machine.onnxruntimeNode}; load average before: ${machine.loadBefore}.`,
    ...result.cases.map(caseTable),
    ...(result.starts.length > 0 ? [startTable(result)] : []),
    ...(result.swap ? [swapText(result.swap)] : []),
    ...(result.latency ? [latencyText(result.latency)] : []),
    ...(result.tensors ? [tensorsText(result.tensors)] : []),
    ...(result.memory ? [memoryText(result.memory)] : []),
  ].join('\n\n');
}

function caseTable(one: CaseResult): string {
  const rows = one.measured.map((m) => {
    const errors = m.refused + m.socketErrors;
    return `| ${m.contender} | ${count(m.requestsPerSecond)} | ${m.ratio ? shown(m.ratio) : '–'} | ${shown(m.p50Ms)} | ${shown(m.p99Ms)} | ${shown(m.maxMs)} | ${errors} |`;
  });
  const cpu = one.measured.flatMap((m) => {
    const parts = Object.entries(m.cpuUsPerRequest).filter(([, { user, system }]) => user + system >= 0.05);
    if (parts.length === 0) return [];
    const text = parts
      .map(([name, { user, system }]) => `${name} ${user.toFixed(1)} + ${system.toFixed(1)}`)
      .join(', ');
    const total = parts.reduce((sum, [, { user, system }]) => sum + user + system, 0);
    return [`- ${m.contender}: ${total.toFixed(1)} (${text})`];
  });
  return [
    `**${one.form}, ${one.rows === 1 ? 'one row' : `${one.rows} rows`}, ${one.connections} connection${one.connections === 1 ? '' : 's'}** (median, min–max over rounds)`,
    '',
    '| | requests/s | ratio | p50 ms | p99 ms | max ms | errors |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
    'CPU of one request in µs (user + system of each process):',
    '',
    ...cpu,
  ].join('\n');
}

function startTable(result: BenchResult): string {
  return [
    '| cores | launch to first prediction, ms | idle PSS of the tree, MB | processes |',
    '|---|---|---|---|',
    ...result.starts.map(
      (start) =>
        `| ${start.cores} | ${shown(start.firstPredictionMs)} | ${shown(start.idlePssMb)} | ${start.processes} |`,
    ),
  ].join('\n');
}

function swapText(swap: NonNullable<BenchResult['swap']>): string {
  return (
    `Hot swap: ${swap.swaps} versions deployed under ${swap.connections} connections; **${swap.failed} failed requests**; ` +
    `worst 5 s: ${Math.round(swap.load.requestsPerSecond)} requests/s, p99 ${swap.load.p99Ms.toFixed(1)} ms, max ${swap.load.maxMs.toFixed(1)} ms; ` +
    `a deploy took ${shown(swap.deployMs)} ms; versions seen: ${swap.versionsSeen.join(', ')}.`
  );
}

function latencyText(latency: NonNullable<BenchResult['latency']>): string {
  return (
    `Added latency with one connection: a request takes ${shown(latency.requestP50Ms)} ms at p50, the model alone ${shown(latency.bareRunP50Ms)} ms: ` +
    `**${shown(latency.addedP50Ms)} ms** are added (aim: under 0.2).`
  );
}

function tensorsText(tensors: NonNullable<BenchResult['tensors']>): string {
  return (
    `Tensors of ${(tensors.bodyBytes / 2 ** 20).toFixed(1)} MiB there and back, ${tensors.connections} connections: ${count(tensors.slipwayRequestsPerSecond)} requests/s, ` +
    `a plain copy over a socket ${count(tensors.copyRequestsPerSecond)}: **${shown(tensors.share)}** of it (aim: at least 0.5); ${tensors.failed} failed.`
  );
}

function memoryText(memory: NonNullable<BenchResult['memory']>): string {
  return (
    `Memory of all processes with one small model: ${memory.beforeMb} MB before, **${memory.afterMb} MB** after ${memory.seconds} s with ${memory.connections} connections ` +
    `(aim: under 400), ${memory.calmMb} MB 10 s later.`
  );
}

function count({ median, min, max }: Spread): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
  return `${whole(median)} (${whole(min)}–${whole(max)})`;
}

function shown({ median, min, max }: Spread): string {
  const short = (value: number): string => String(Number(value.toPrecision(3)));
  return `${short(median)} (${short(min)}–${short(max)})`;
}

if (import.meta.main) {
  const path = process.argv[2];
  if (path === undefined) throw new Error('usage: report.ts <results.json>');
  console.log(reportOf(JSON.parse(readFileSync(path, 'utf8')) as BenchResult));
}
