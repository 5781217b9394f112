/** By which status and word clients of SageMaker, Vertex AI, Seldon and OpenAI know each error. */
import { describe, expect, test } from 'vitest';
import { type ErrorCode, SlipwayError } from '../../base/errors.ts';
import { NO_ROOM } from '../endpoints/endpoint-change.ts';
import { openai } from './openai.ts';
import { type Protocol, statusOf } from './protocol.ts';
import { sagemaker } from './sagemaker.ts';
import { seldon } from './seldon.ts';
import { vertex } from './vertex.ts';

/** What each protocol says of an error at a path: status, and the word by which its clients know it. */
const told = (protocol: Protocol, error: SlipwayError, path = '/x'): [number, string] => {
  const about = { status: statusOf(protocol, error), requestId: 'r', method: 'POST', path };
  const { status = about.status, body, headers = [] } = protocol.writeError(error, about);
  const {
    type,
    status: seldonStatus,
    error: inner,
  } = JSON.parse(body) as {
    type?: string;
    status?: { reason: string };
    error?: { status?: string; type?: string; code?: string };
  };
  const word = headers[headers.indexOf('x-amzn-ErrorType') + 1] ?? '';
  const isAws = headers.includes('x-amzn-ErrorType');
  return [status, isAws ? word : (type ?? seldonStatus?.reason ?? inner?.status ?? `${inner?.type} ${inner?.code}`)];
};

describe('errors, by the words of each system', () => {
  const CALL = '/endpoints/m/invocations';
  test.each<[ErrorCode, number, string, object?]>([
    ['invalid_input', 424, 'ModelError'],
    ['invalid_json', 424, 'ModelError'],
    ['run_failed', 424, 'ModelError'],
    ['unsupported_media', 424, 'ModelError'],
    ['deadline_exceeded', 424, 'ModelError'],
    ['run_timeout', 424, 'ModelError'],
    ['rate_limited', 429, 'ThrottlingException'],
    ['not_ready', 429, 'ModelNotReadyException'],
    ['overloaded', 503, 'ServiceUnavailable'],
    ['key_missing', 403, 'MissingAuthenticationTokenException'],
    ['key_invalid', 403, 'UnrecognizedClientException'],
    ['not_permitted', 403, 'AccessDeniedException'],
    ['endpoint_not_found', 400, 'ValidationError'],
    ['version_not_found', 400, 'ValidationError'],
    ['unsupported_option', 400, 'ValidationError'],
    ['not_offered', 501, 'ValidationError'],
    ['internal', 500, 'InternalFailure'],
    ['signature_invalid', 403, 'InvalidSignatureException', { awsCode: 'InvalidSignatureException', awsStatus: 403 }],
  ])('SageMaker’s callers: %s is %d %s', (code, status, word, extra = {}) => {
    expect(told(sagemaker, new SlipwayError(code, 'x', { extra: { ...extra } }), CALL)).toEqual([status, word]);
  });

  test.each<[ErrorCode, number, string, object?]>([
    ['endpoint_not_found', 404, 'ModelNotFoundException'],
    ['already_exists', 409, 'ConflictStatusException'],
    ['overloaded', 507, 'InsufficientMemoryException', { [NO_ROOM]: true }],
    ['disk_full', 507, 'InsufficientMemoryException'],
    ['overloaded', 503, 'ServiceUnavailableException'],
    ['invalid_request', 400, 'BadRequestException'],
    ['method_not_allowed', 405, 'MethodNotAllowedException'],
    ['internal', 500, 'InternalServerException'],
  ])('SageMaker’s containers: %s is %d %s', (code, status, word, extra = {}) => {
    expect(told(sagemaker, new SlipwayError(code, 'x', { extra: { ...extra } }), '/models')).toEqual([status, word]);
  });

  test.each<[ErrorCode, number, string]>([
    ['invalid_input', 400, 'INVALID_ARGUMENT'],
    ['too_large', 413, 'INVALID_ARGUMENT'],
    ['key_missing', 401, 'UNAUTHENTICATED'],
    ['not_permitted', 403, 'PERMISSION_DENIED'],
    ['endpoint_not_found', 404, 'NOT_FOUND'],
    ['rate_limited', 429, 'RESOURCE_EXHAUSTED'],
    ['not_offered', 501, 'UNIMPLEMENTED'],
    ['not_ready', 503, 'UNAVAILABLE'],
    ['deadline_exceeded', 504, 'DEADLINE_EXCEEDED'],
    ['internal', 500, 'INTERNAL'],
  ])('Vertex AI: %s is %d %s', (code, status, word) => {
    expect(told(vertex, new SlipwayError(code, 'x'))).toEqual([status, word]);
  });

  test.each<[ErrorCode, number, string]>([
    ['invalid_input', 400, 'MICROSERVICE_BAD_DATA'],
    ['unsupported_media', 415, 'MICROSERVICE_BAD_DATA'],
    ['endpoint_not_found', 404, 'ENDPOINT_NOT_FOUND'],
    ['not_ready', 503, 'NOT_READY'],
    ['rate_limited', 429, 'RATE_LIMITED'],
  ])('Seldon: %s is %d %s', (code, status, word) => {
    expect(told(seldon, new SlipwayError(code, 'x'))).toEqual([status, word]);
  });

  test.each<[ErrorCode, number, string]>([
    ['invalid_input', 400, 'invalid_request_error invalid_input'],
    ['key_missing', 401, 'authentication_error invalid_api_key'],
    ['not_permitted', 403, 'permission_error not_permitted'],
    ['endpoint_not_found', 404, 'invalid_request_error model_not_found'],
    ['rate_limited', 429, 'rate_limit_error rate_limit_exceeded'],
    ['overloaded', 503, 'server_error overloaded'],
  ])('OpenAI: %s is %d %s', (code, status, words) => {
    expect(told(openai, new SlipwayError(code, 'x'))).toEqual([status, words]);
  });
});
