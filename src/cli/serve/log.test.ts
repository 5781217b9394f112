import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatLogLine, parseLogLine } from '../log-line.ts';
import { createOutput } from '../output.ts';
import { createLogSink } from './log-sink.ts';
import { createLogWriter } from './log-writer.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('turns the file over at its limit and keeps four older ones', () => {
  const writer = createLogWriter(join(folder, 'slipway.log'), () => undefined, 100);
  for (let n = 0; n < 60; n++) writer.write(`{"n":${n},"pad":"${'x'.repeat(20)}"}\n`);
  writer.close();
  expect(readdirSync(folder).sort()).toEqual(['slipway.log', ...[1, 2, 3, 4].map((age) => `slipway.log.${age}`)]);
  const kept = ['.4', '.3', '.2', '.1', ''].flatMap((age) =>
    readFileSync(join(folder, `slipway.log${age}`), 'utf8')
      .trim()
      .split('\n'),
  );
  const numbers = kept.map((line) => (JSON.parse(line) as { n: number }).n);
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, at) => 60 - numbers.length + at));
  for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(100);
});

test('only its owner may read it', () => {
  createLogWriter(join(folder, 'slipway.log'), () => undefined).close();
  expect(statSync(join(folder, 'slipway.log')).mode & 0o777).toBe(0o600);
});

test('every line in the file is JSON, whatever a process printed', () => {
  const sink = createLogSink(
    join(folder, 'slipway.log'),
    createOutput({ json: false, color: false, quiet: true }),
    'info',
  );
  sink.lines('{"level":"info","msg":"fine"}\na library printed this\n');
  sink.text('gateway', 'Error: no\n    at x\n');
  sink.event('warn', 'seen');
  sink.close();
  const lines = readFileSync(join(folder, 'slipway.log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map((line) => [line.level, line.process ?? null, line.msg])).toEqual([
    ['info', null, 'fine'],
    ['info', 'unknown', 'a library printed this'],
    ['error', 'gateway', 'Error: no'],
    ['error', 'gateway', '    at x'],
    ['warn', 'serve', 'seen'],
  ]);
});

test('a line is shown to a person with time, level, process, message and what came with it', () => {
  const line = parseLogLine(
    '{"level":"warn","time":"2026-01-02T03:04:05.678Z","process":"gateway","pid":7,"msg":"slow\\u001b[2J","endpoint":"churn","err":{"message":"no","stack":"x"}}',
  );
  expect(formatLogLine(line, (_style, text) => text)).toBe('03:04:05.678 WARN  gateway slow  endpoint=churn err="no"');
});
