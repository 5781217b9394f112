/** Errors as TorchServe tells them (frontend/server at d5c55bd): code, the simple name of a Java class, message. Its texts for what callers look for. */
import type { ErrorCode, SlipwayError } from '../../base/errors.ts';
import type { ErrorAnswer, ErrorContext } from './protocol.ts';

const TYPES: { readonly [code in ErrorCode]?: string } = {
  endpoint_not_found: 'ModelNotFoundException',
  model_not_found: 'ModelNotFoundException',
  version_not_found: 'ModelVersionNotFoundException',
  alias_not_found: 'ModelVersionNotFoundException',
  route_not_found: 'ResourceNotFoundException',
  method_not_allowed: 'MethodNotAllowedException',
  key_missing: 'InvalidKeyException',
  key_invalid: 'InvalidKeyException',
  already_exists: 'ConflictStatusException',
  too_large: 'TooLongHttpContentException',
  deadline_exceeded: 'RequestTimeoutException',
};

const BY_STATUS: Readonly<Record<number, string>> = {
  403: 'ForbiddenException',
  404: 'ResourceNotFoundException',
  409: 'ConflictStatusException',
  415: 'BadRequestException',
  429: 'ServiceUnavailableException',
  500: 'InternalServerException',
  503: 'ServiceUnavailableException',
};

const TEXTS: { readonly [code in ErrorCode]?: string } = {
  route_not_found: 'Requested resource is not found, please refer to API document.',
  method_not_allowed: 'Requested method is not allowed, please refer to API document.',
};

/** Faults and hint stand beside the three that it has. */
export function writeTorchserveError(error: SlipwayError, { status, params = {} }: ErrorContext): ErrorAnswer {
  const { code, fields, hint } = error;
  const body = {
    code: status,
    type: TYPES[code] ?? BY_STATUS[status] ?? 'BadRequestException',
    message: textOf(error, params),
    ...(fields.length === 0 ? {} : { faults: fields }),
    ...(hint === undefined ? {} : { hint }),
  };
  return { contentType: 'application/json', body: JSON.stringify(body) };
}

function textOf({ code, message }: SlipwayError, params: Readonly<Record<string, string>>): string {
  const [name = '', own] = (params['endpoint'] ?? params['model'] ?? '').split('@');
  const version = params['version'] ?? own;
  const isMissing = code === 'endpoint_not_found' || code === 'version_not_found';
  if (isMissing && name !== '') {
    return version === undefined || (code === 'endpoint_not_found' && /^\d+(\.0)?$/.test(version))
      ? `Model not found: ${name}`
      : `Model version: ${version} does not exist for model: ${name}`;
  }
  return TEXTS[code] ?? message;
}
