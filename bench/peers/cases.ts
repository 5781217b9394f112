/** What is measured beside rivals, and what is aimed at. */
export type PeerCase = {
  readonly title: string;
  readonly model: 'tab' | 'mlp' | 'minilm';
  readonly rows: number;
  readonly connections: number;
  readonly form: 'json' | 'binary' | 'grpc';
  /** The kit's name of it, by which the kit says who is measured in which case. */
  readonly kitCase: string;
  /** `two`: the server has both cores, and so has the load generator where the machine has no third. */
  readonly cores: 'one' | 'two';
};

const tab = (title: string, kitCase: string, rest: Partial<PeerCase>): PeerCase => ({
  title: `tab, ${title}`,
  model: 'tab',
  rows: 1,
  connections: 16,
  form: 'json',
  kitCase,
  cores: 'one',
  ...rest,
});

export const PEER_CASES: readonly PeerCase[] = [
  tab('one JSON row, c=1', 'A c1', { connections: 1 }),
  tab('one JSON row, c=16', 'A c16', {}),
  tab('one JSON row, c=64', 'A c64', { connections: 64 }),
  tab('32 JSON rows, c=16', 'B 32r c16', { rows: 32 }),
  tab('256 JSON rows, c=16', 'C json 256r c16', { rows: 256 }),
  tab('binary, one row, c=16', 'C bin 1r c16', { form: 'binary' }),
  tab('binary, 32 rows, c=16', 'C bin 32r c16', { form: 'binary', rows: 32 }),
  tab('binary, 256 rows, c=16', 'C bin 256r c16', { form: 'binary', rows: 256 }),
  tab('gRPC, one row, c=16', 'D grpc c16', { form: 'grpc' }),
  { ...tab('', 'A c16', {}), title: 'mlp, one JSON row, c=16', model: 'mlp' },
  { ...tab('', 'A c1', { connections: 1 }), title: 'MiniLM, one text, c=1', model: 'minilm' },
  { ...tab('', 'A c16', {}), title: 'MiniLM, one text, c=16', model: 'minilm' },
  tab('one JSON row, c=16, two cores', 'A c16', { cores: 'two' }),
  tab('one JSON row, c=64, two cores', 'A c64', { cores: 'two', connections: 64 }),
];

export type Target = {
  readonly slipway: string;
  readonly rival: RegExp;
  readonly case: RegExp;
  /** Slipway's requests per second over the rival's, at least. */
  readonly ratio: number;
  /** Slipway's own p99, at most. */
  readonly p99Ms?: number;
  /** Slipway's p99 over the rival's, at most. */
  readonly p99Ratio?: number;
};

const TABULAR = 'slipway tabular';
const ISOLATED = 'slipway onnxruntime';
const TRITON = /^triton-ort/;
const PYTHON = /^(fastapi-typical|mlserver.*|kserve|litserve|mlflow|bentoml|torchserve|ray|triton-py)$/;

/** The first that fits a case, a form and a rival counts. */
export const TARGETS: readonly Target[] = [
  { slipway: TABULAR, rival: TRITON, case: /^tab, one JSON row, c=(16|64)$/, ratio: 1.9 },
  { slipway: TABULAR, rival: TRITON, case: /^tab, 32 JSON rows/, ratio: 1.7 },
  { slipway: TABULAR, rival: TRITON, case: /binary, (32|256) rows/, ratio: 2.2 },
  { slipway: ISOLATED, rival: TRITON, case: /^tab, one JSON row, c=64$/, ratio: 1.2, p99Ms: 8 },
  { slipway: ISOLATED, rival: TRITON, case: /two cores$/, ratio: 1.5 },
  { slipway: ISOLATED, rival: TRITON, case: /256 (JSON )?rows|^MiniLM, one text, c=16/, ratio: 0.97, p99Ratio: 1 },
  { slipway: TABULAR, rival: TRITON, case: /gRPC/, ratio: 1 },
  { slipway: TABULAR, rival: /^mlserver$/, case: /gRPC/, ratio: 5 },
  { slipway: TABULAR, rival: PYTHON, case: /^tab, one JSON row, c=16$/, ratio: 8 },
  { slipway: TABULAR, rival: /^(fastapi-tuned|torchserve-batch)$/, case: /^tab, one JSON row, c=64$/, ratio: 4 },
];

export function targetOf(slipway: string, rival: string, title: string): Target | undefined {
  return TARGETS.find((one) => one.slipway === slipway && one.rival.test(rival) && one.case.test(title));
}

/** Rivals that are up together: those that idle quietly may share, those that do not (a JVM, Ray's eleven processes) are alone. */
export const RIVAL_GROUPS: readonly (readonly string[])[] = [
  ['triton-ort', 'triton-ort-nobatch'],
  ['b1-node-echo', 'b3-node-tickbatch'],
  ['fastapi-tuned', 'fastapi-typical', 'mlserver'],
  ['kserve', 'litserve'],
  ['mlflow', 'bentoml'],
  ['torchserve'],
  ['torchserve-batch'],
  ['ray'],
];
