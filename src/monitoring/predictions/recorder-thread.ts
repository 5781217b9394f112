/** The thread that records predictions: files and sketches, beside the event loop that answers. See prediction-recorder.ts. */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { HistogramEdges } from '../profiles/fixed-histogram.ts';
import { writePanes } from './pane-writer.ts';
import type { RecorderOrder, RecorderReport } from './recorded-rows.ts';
import {
  PANES_FOLDER,
  parseRecordingFile,
  REFERENCES_FOLDER,
  type ReferenceEdges,
  referenceFileName,
  SEGMENTS_FOLDER,
} from './recording-file.ts';
import { createRowRecorder } from './row-recorder.ts';
import { createSegmentWriter } from './segment-writer.ts';

export type RecorderThreadData = { readonly dataDir: string; readonly instance: string; readonly quotaBytes: number };

const { dataDir, instance, quotaBytes } = workerData as RecorderThreadData;
const port = parentPort!;
const NO_EDGES: ReadonlyMap<string, HistogramEdges> = new Map();
const edges = new Map<string, { mtimeMs: number; edges: ReadonlyMap<string, HistogramEdges> }>();
let paneFault: string | null = null;
let panes = 0;
let paneSequence = 0;

const writer = createSegmentWriter({ folder: join(dataDir, SEGMENTS_FOLDER), instance, quotaBytes });
const recorder = createRowRecorder(
  {
    append: (key, header, line) => void writer.append(key, header, line),
    take: (lines) => {
      try {
        writePanes(join(dataDir, PANES_FOLDER), `${instance}-${String(paneSequence++).padStart(8, '0')}.jsonl`, lines);
        panes += lines.length;
        paneFault = null;
      } catch (error) {
        paneFault = (error as NodeJS.ErrnoException).code ?? String(error);
      }
    },
    edgesOf,
    nowMs: Date.now,
    random: Math.random,
  },
  randomBytes(32).toString('hex'),
);

/** Edges of a version's histograms, where it has a reference; looked at anew once a minute. */
function edgesOf(versionDigest: string): ReadonlyMap<string, HistogramEdges> {
  const path = join(dataDir, REFERENCES_FOLDER, referenceFileName(versionDigest));
  try {
    const { mtimeMs } = statSync(path);
    const known = edges.get(versionDigest);
    if (known?.mtimeMs === mtimeMs) return known.edges;
    const file = JSON.parse(readFileSync(path, 'utf8')) as ReferenceEdges;
    const read = new Map(
      Object.entries(file.edges).map(([name, at]) => [name, { revision: file.revision, at: Float64Array.from(at) }]),
    );
    edges.set(versionDigest, { mtimeMs, edges: read });
    return read;
  } catch {
    return NO_EDGES; // there is no reference, or not yet
  }
}

let done = 0;
function report(closed = false): void {
  const { counts } = writer;
  const { written, droppedDisk, droppedQuota } = counts;
  const fault = counts.fault ?? paneFault;
  port.postMessage({ done, written, droppedDisk, droppedQuota, panes, fault, closed } satisfies RecorderReport);
  done = 0;
}

const ticking = setInterval(() => {
  writer.tick();
  recorder.tick();
  report();
}, 1000);

port.on('message', (order: RecorderOrder) => {
  switch (order.kind) {
    case 'recording':
      recorder.configure(parseRecordingFile(order.text));
      break;
    case 'stream':
      recorder.open(order.stream);
      break;
    case 'end':
      recorder.end(order.stream);
      break;
    case 'rows':
      recorder.add(order.batch);
      done += 1;
      report();
      break;
    case 'close':
      clearInterval(ticking);
      recorder.close();
      writer.close();
      report(true);
      port.close();
  }
});
