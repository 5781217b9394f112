/** Bodies of MLflow, SageMaker, Vertex AI, Azure ML, Seldon Core and OpenAI. */
import { azureMl } from '../../src/serving/protocols/azure-ml.ts';
import { mlflow } from '../../src/serving/protocols/mlflow.ts';
import { openai } from '../../src/serving/protocols/openai.ts';
import type { InferRoute, Protocol } from '../../src/serving/protocols/protocol.ts';
import { sagemaker } from '../../src/serving/protocols/sagemaker.ts';
import { seldon } from '../../src/serving/protocols/seldon.ts';
import { vertex } from '../../src/serving/protocols/vertex.ts';
import { FILE_MODELS, MODELS, tryAll } from './request-check.ts';
import type { FuzzTarget } from './target.ts';

const routeOf = (protocol: Protocol, path: string): InferRoute =>
  protocol.routes.find((route): route is InferRoute => route.kind === 'infer' && route.path === path)!;

/** By the first byte. */
const ROUTES: ReadonlyMap<number, InferRoute> = new Map(
  Object.entries({
    m: routeOf(mlflow, '/invocations'),
    s: routeOf(sagemaker, '/invocations'),
    v: routeOf(vertex, '/vertex/predict'),
    p: routeOf(vertex, '/v1/projects/{project}/locations/{location}/endpoints/{endpoint}:predict'),
    a: routeOf(azureMl, '/score'),
    d: routeOf(seldon, '/api/v1.0/predictions'),
    o: routeOf(openai, '/v1/embeddings'),
  }).map(([letter, route]) => [letter.charCodeAt(0), route]),
);
const OTHERWISE = ROUTES.get('m'.charCodeAt(0))!;

/** The first byte says which, the rest of the first line is the Content-Type. */
export const cloudBodies: FuzzTarget = {
  name: 'clouds',
  dictionary: [
    '"dataframe_split":',
    '"dataframe_records":',
    '"columns":',
    '"index":',
    '"data":',
    '"params":{}',
    '"instances":',
    '"inputs":',
    '"records":',
    '"features":',
    '"parameters":null',
    '"input_data":',
    '"Inputs":',
    '"GlobalParameters":{}',
    '"ndarray":',
    '"tensor":{"shape":[1,3],"values":[1,2,3]}',
    '"names":',
    '"strData":',
    '"binData":',
    '"jsonData":',
    '"meta":{"puid":"a","tags":{}}',
    '"model":"m","input":',
    '"encoding_format":"base64"',
    '{"b64":"aGk="}',
    '"X"',
    '"age"',
    '"plan"',
    'NaN',
    '-Infinity',
    'text/csv\n',
    'text/csv; label_size=0\n',
    'application/jsonlines\n',
    'application/json\n',
    'image/png\n',
    'multipart/form-data; boundary=b\n',
    'application/vnd.sagemaker-triton.binary+json;json-header-size=2\n',
    '--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n',
    '--b--\r\n',
  ],
  run(input) {
    const route = ROUTES.get(input[0] ?? 0) ?? OTHERWISE;
    const end = input.indexOf(10);
    const line = input.toString('latin1', 1, Math.max(1, Math.min(end, 200))).replace(/[^\x20-\x7e]/g, '');
    return tryAll([...MODELS, ...FILE_MODELS], (target) => {
      const call = { body: Buffer.from(input.subarray(end + 1)), headers: { 'content-type': line } };
      route.parsesFast?.(call, target);
      return route.parse(call, target);
    });
  },
};
