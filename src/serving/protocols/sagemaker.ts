/**
 * SageMaker, both sides: what its containers answer (`/ping`, `/invocations`, one model or several), and what callers of its runtime ask (InvokeEndpoint), signed with
 * Signature Version 4.
 */
import type { SlipwayError } from '../../base/errors.ts';
import { NO_ROOM } from '../endpoints/endpoint-change.ts';
import { parseVersion } from '../endpoints/routing.ts';
import { decodeRequest } from './decode-request.ts';
import { errorText } from './open-inference.ts';
import {
  type EndpointName,
  type ErrorAnswer,
  type ErrorContext,
  HTTP_STATUSES,
  type InferRoute,
  type Protocol,
  type WireHead,
  written,
} from './protocol.ts';
import { NOT_ACCEPTABLE, writeInvocation, writeStream } from './sagemaker-answer.ts';
import { multiModelRoutes } from './sagemaker-models.ts';
import { parseInvocation, textOf } from './sagemaker-request.ts';
import { outputsUs } from './writing-time.ts';

/** The name by which a signature's scope knows this service. */
export const SAGEMAKER_SERVICE = 'sagemaker';

const invoke: Omit<InferRoute, 'path'> = {
  kind: 'infer',
  parse: parseInvocation,
  decode: decodeRequest,
  write: writeInvocation,
  writeUs: outputsUs,
};

export const sagemaker: Protocol = {
  name: 'sagemaker',
  signedFor: SAGEMAKER_SERVICE,
  routes: [
    { ...invoke, path: '/endpoints/{endpoint}/invocations', nameEndpoint: namedBy },
    { ...invoke, path: '/endpoints/{endpoint}/invocations-response-stream', nameEndpoint: namedBy, write: writeStream },
    {
      kind: 'absent',
      path: '/endpoints/{endpoint}/async-invocations',
      reason:
        'Asynchronous invocations read from and write to S3, which is not done here; send the input itself to /invocations',
    },
    { ...invoke, path: '/invocations', nameEndpoint: () => null },
    {
      kind: 'read',
      public: true,
      path: '/ping',
      read: (server) => written({ contentType: 'text/plain', body: '', status: server.ready ? 200 : 503 }),
    },
    { ...invoke, path: '/models/{endpoint}/invoke' },
    ...multiModelRoutes,
  ],
  statuses: HTTP_STATUSES,
  writeError(error, about) {
    return about.path.includes('/endpoints/') ? serviceError(error, about) : containerError(error, about);
  },
};

/** A variant is a version here, by its number or an alias; a target model another endpoint, by its name with or without the ending of an archive. */
function namedBy(head: WireHead): EndpointName {
  const variant = textOf(head, 'x-amzn-sagemaker-target-variant');
  const model = textOf(head, 'x-amzn-sagemaker-target-model')
    ?.replace(/^\//, '')
    .replace(/\.tar\.gz$/, '');
  const name = model ?? head.params!['endpoint']!;
  if (variant === null) return { name };
  return parseVersion(variant) === null ? { name, label: variant } : { name, version: variant };
}

/** As the service itself says it; its clients know errors by the header. What a container would have said comes inside a ModelError. */
function serviceError(error: SlipwayError, about: ErrorContext): ErrorAnswer {
  const { status, requestId } = about;
  const message = errorText(error);
  const answer = (code: string, statusNow: number, more: object = {}): ErrorAnswer => ({
    contentType: 'application/json',
    status: statusNow,
    headers: ['x-amzn-ErrorType', code, 'x-amzn-RequestId', requestId],
    body: JSON.stringify({ Message: message, message, ...more }),
  });
  const modelError = (original: number): ErrorAnswer => {
    const who = original >= 500 ? 'server' : 'client';
    const text = `Received ${who} error (${original}) from primary with message "${message}"`;
    const more = { OriginalStatusCode: original, OriginalMessage: message, LogStreamArn: '' };
    return answer('ModelError', 424, { Message: text, message: text, ...more });
  };
  switch (error.code) {
    case 'invalid_input':
    case 'invalid_json':
    case 'run_failed':
      return modelError(400);
    case 'unsupported_media':
      return modelError(error.extra?.[NOT_ACCEPTABLE] === true ? 406 : 415);
    case 'deadline_exceeded':
    case 'run_timeout':
      return modelError(504);
    case 'rate_limited':
      return answer('ThrottlingException', 429);
    case 'not_ready':
      return answer('ModelNotReadyException', 429);
    case 'signature_invalid':
      return answer(
        String(error.extra?.['awsCode'] ?? 'InvalidSignatureException'),
        Number(error.extra?.['awsStatus'] ?? 403),
      );
    case 'key_missing':
      return answer('MissingAuthenticationTokenException', 403);
    case 'key_invalid':
      return answer('UnrecognizedClientException', 403);
    case 'not_permitted':
    case 'foreign_origin':
      return answer('AccessDeniedException', 403);
    case 'internal':
      return answer('InternalFailure', 500);
    case 'too_large':
      return answer('ValidationError', 413);
    default:
      if (status === 503) return answer('ServiceUnavailable', 503);
      return answer('ValidationError', status === 501 || status === 405 ? status : 400);
  }
}

/** As multi-model containers say it. */
function containerError(error: SlipwayError, { status: usual }: ErrorContext): ErrorAnswer {
  const { extra = {}, code } = error;
  // 507 tells the platform to unload a model and to try again.
  const noRoom = extra[NO_ROOM] === true || code === 'disk_full';
  const status = extra[NOT_ACCEPTABLE] === true ? 406 : noRoom ? 507 : usual;
  const body = JSON.stringify({
    code: status,
    type: TYPES[status] ?? (status >= 500 ? 'InternalServerException' : 'BadRequestException'),
    message: errorText(error),
  });
  return { contentType: 'application/json', body, status };
}

const TYPES: Readonly<Record<number, string>> = {
  404: 'ModelNotFoundException',
  405: 'MethodNotAllowedException',
  409: 'ConflictStatusException',
  503: 'ServiceUnavailableException',
  507: 'InsufficientMemoryException',
};
