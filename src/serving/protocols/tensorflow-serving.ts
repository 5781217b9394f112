/**
 * TensorFlow Serving's REST API. Its texts of errors are those of tensorflow_serving at 9d981c5; docs/reference/tensorflow-serving.md has the table of what is supported
 * and what is refused.
 */
import type { SlipwayError } from '../../base/errors.ts';
import { decodeRequest } from './decode-request.ts';
import { asEvent, parseEvent } from './event-prediction.ts';
import { type ErrorAnswer, type ErrorContext, HTTP_STATUSES, type Protocol, type Route } from './protocol.ts';
import { writePredict } from './tensorflow-answer.ts';
import { parseClassify, parseRegress, writeClassify, writeRegress } from './tensorflow-examples.ts';
import { metadataOf, statusOfAll, statusOfOne } from './tensorflow-status.ts';
import { outputsUs } from './writing-time.ts';

const anyCase = true;
const infer = { kind: 'infer', anyCase, decode: decodeRequest, writeUs: outputsUs } as const;
const MODEL = '/v1/models/{endpoint}';
const CHOICES = [MODEL, `${MODEL}/versions/{version}`, `${MODEL}/labels/{label}`];

const routes: readonly Route[] = [
  { kind: 'read', anyCase, path: '/v1/models/{model}', read: (server, _, { params }) => statusOfAll(server, params!) },
  {
    kind: 'read',
    anyCase,
    path: '/v1/models/{model}/versions/{number}',
    read: (server, _, { params }) => statusOfOne(server, params!),
  },
  {
    kind: 'read',
    anyCase,
    path: `${MODEL}/labels/{label}`,
    read: (server, endpoint) => statusOfOne(server, { model: endpoint!.name, number: `${endpoint!.version}` }),
  },
  ...CHOICES.flatMap((path): Route[] => [
    { kind: 'read', anyCase, path: `${path}/metadata`, read: (_, endpoint) => metadataOf(endpoint!) },
    {
      ...infer,
      path: `${path}:predict`,
      // CloudEvents are KServe's; on a port that speaks both the path is here.
      parse: parseEvent,
      write: (request, outputs, answered) => asEvent(request, answered, writePredict(request, outputs, answered)),
    },
    { ...infer, path: `${path}:classify`, parse: parseClassify, write: writeClassify },
    { ...infer, path: `${path}:regress`, parse: parseRegress, write: writeRegress },
  ]),
];

export const tensorflowServing: Protocol = {
  name: 'tensorflow-serving',
  routes,
  statuses: HTTP_STATUSES,
  writeError,
};

/** Its error is one text; faults and hint are beside it. */
function writeError(error: SlipwayError, about: ErrorContext): ErrorAnswer {
  const { text, status } = inItsWords(error, about);
  const { fields, hint } = error;
  const body = {
    error: text,
    ...(fields.length === 0 ? {} : { faults: fields }),
    ...(hint === undefined ? {} : { hint }),
  };
  return { contentType: 'application/json', body: JSON.stringify(body), status };
}

/** Versions are int64 there. */
const MOST_VERSION = 2n ** 63n - 1n;

type Words = { readonly text: string; readonly status: number };

function inItsWords(error: SlipwayError, about: ErrorContext): Words {
  const { code, message } = error;
  const { status, method, path, params = {} } = about;
  const version = params['version'] ?? params['number'];
  // A name holds no colon there, and a version is a number.
  const isMalformed = /:/.test(params['model'] ?? '') || (version !== undefined && !/^\d+$/.test(version));
  if (code === 'route_not_found' || code === 'method_not_allowed' || (isMalformed && status === 404)) {
    const isList = method === 'GET' && /\/v1\/models\/?$/i.test(path);
    return { text: isList ? 'Missing model name in request.' : `Malformed request: ${method} ${path}`, status: 400 };
  }
  if (version !== undefined && BigInt(version) > MOST_VERSION) {
    return { text: `Failed to convert version: ${version} to numeric.`, status: 400 };
  }
  if ((code === 'endpoint_not_found' || code === 'version_not_found') && params['model'] === undefined) {
    if (code === 'version_not_found' && params['label'] !== undefined) {
      return { text: `Unrecognized servable version label: ${params['label']}`, status: 400 };
    }
    return { text: servableNotFound(params['endpoint'] ?? '', version), status };
  }
  return { text: message, status };
}

/** @param name perhaps with `@version` */
export function servableNotFound(name: string, version: string | undefined): string {
  const [model = '', own] = name.split('@');
  const number = version ?? own;
  return `Servable not found for request: ${number === undefined ? `Latest(${model})` : `Specific(${model}, ${number})`}`;
}
