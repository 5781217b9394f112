import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { closestWord } from './closest-word.ts';
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from './errors.ts';
import { NAME_PATTERN, NAME_RULE } from './ids.ts';
import { pointerOf } from './json.ts';

type Schema = Record<string, unknown>;
export type HttpPart = 'body' | 'querystring' | 'params' | 'headers';

const PARTS: Readonly<Record<HttpPart, { name: string; prefix: string }>> = {
  body: { name: 'body', prefix: '' },
  querystring: { name: 'query', prefix: '/query' },
  params: { name: 'path', prefix: '/path' },
  headers: { name: 'headers', prefix: '/headers' },
};

const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

function createAjv(coerceTypes: boolean): Ajv2020 {
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    coerceTypes,
    useDefaults: true,
    removeAdditional: false,
    strictTypes: false,
    strictRequired: false,
    allowUnionTypes: true,
    addUsedSchema: false,
  });
  ajv.addFormat('date-time', (text) => DATE_TIME.test(text) && !Number.isNaN(Date.parse(text)));
  return ajv;
}

export type SchemaValidator = {
  /** @returns a function that gives `{ value }` or `{ error }`, as fastify wants it */
  compile(schema: unknown, part: HttpPart): (data: unknown) => { value: unknown } | { error: SlipwayError };
  /** Compiles all that was asked for so far; for tests, as otherwise each is compiled when first used. */
  compileAll(): void;
};

/**
 * JSON Schema validation of requests. Every fault is told at once, with its pointer, without echoing values. Text in queries and
 * paths is turned into the type asked for; bodies are taken as they are. A validator is compiled when its route is first used:
 * some sixty of them would cost a quarter of a second of every start.
 */
export function createSchemaValidator(): SchemaValidator {
  const strict = createAjv(false);
  const coercing = createAjv(true);
  const known = new Map<unknown, () => ValidateFunction>();
  const compiled = (schema: unknown, part: HttpPart): (() => ValidateFunction) => {
    const found = known.get(schema);
    if (found) return found;
    let validate: ValidateFunction | undefined;
    const get = () => (validate ??= (part === 'body' ? strict : coercing).compile(schema as Schema));
    known.set(schema, get);
    return get;
  };
  return {
    compile: (schema, part) => {
      const get = compiled(schema, part);
      return (data) => {
        const validate = get();
        if (validate(data)) return { value: data };
        const { name, prefix } = PARTS[part];
        const fields = describe(validate.errors ?? [], prefix);
        const message =
          fields.length === 1
            ? `The ${name} is not valid: ${sentence(fields[0]!)}`
            : `The ${name} has ${fields.length} faults`;
        return { error: new SlipwayError('invalid_request', message, { fields }) };
      };
    },
    compileAll: () => {
      for (const get of known.values()) get();
    },
  };
}

function sentence(field: FieldError): string {
  return field.pointer === '' ? `it ${field.message}` : `${field.pointer} ${field.message}`;
}

/**
 * Schemas of what clients send know no further properties, so that a mistyped one is told rather than ignored. Objects that say
 * otherwise by `additionalProperties` keep it.
 */
export function closeSchema(schema: unknown): unknown {
  const known = closed.get(schema as object);
  if (known) return known;
  const result = close(schema);
  if (typeof schema === 'object' && schema !== null) closed.set(schema, result);
  return result;
}
const closed = new WeakMap<object, unknown>();

function close(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(close);
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy: Schema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties' || key === 'patternProperties' || key === '$defs') {
      copy[key] = Object.fromEntries(Object.entries(value as Schema).map(([name, inner]) => [name, close(inner)]));
    } else
      copy[key] = key === 'default' || key === 'const' || key === 'enum' || key === 'examples' ? value : close(value);
  }
  const isOpen =
    'additionalProperties' in copy || 'unevaluatedProperties' in copy || 'patternProperties' in copy || 'allOf' in copy;
  if (copy['type'] === 'object' && 'properties' in copy && !isOpen) copy['additionalProperties'] = false;
  return copy;
}

/** Ajv's errors as field errors: one for each place, with the alternatives of a union told together. */
function describe(errors: readonly ErrorObject[], prefix: string): FieldError[] {
  const fields = new Map<string, FieldError>();
  const add = (pointer: string, message: string): void => {
    const field = { pointer: prefix + pointer, message };
    fields.set(`${field.pointer} ${message}`, field);
  };
  const unions = errors.filter((error) => error.keyword === 'anyOf' || error.keyword === 'oneOf');
  const isInside = (error: ErrorObject, union: ErrorObject): boolean =>
    error !== union && error.schemaPath.startsWith(`${union.schemaPath}/`);
  for (const union of unions) {
    if (unions.some((outer) => isInside(union, outer))) continue;
    const inside = errors.filter((error) => isInside(error, union));
    const deeper = inside.filter((error) => error.instancePath !== union.instancePath || !isAboutKind(error));
    if (deeper.length === 0) add(union.instancePath, `must be ${alternatives(inside)}`);
    else for (const error of nearest(deeper, union)) add(...plain(error));
  }
  for (const error of errors) {
    if (unions.includes(error) || unions.some((union) => isInside(error, union))) continue;
    add(...plain(error));
  }
  return [...fields.values()].slice(0, MAX_FIELD_ERRORS);
}

function isAboutKind(error: ErrorObject): boolean {
  return error.keyword === 'type' || error.keyword === 'const' || error.keyword === 'enum' || error.keyword === 'anyOf';
}

function alternatives(errors: readonly ErrorObject[]): string {
  const words = errors.flatMap(({ keyword, params }) => {
    if (keyword === 'const') return [JSON.stringify(params['allowedValue'])];
    if (keyword === 'enum') return (params['allowedValues'] as unknown[]).map((value) => JSON.stringify(value));
    return keyword === 'type' ? [String(params['type'])] : [];
  });
  return [...new Set(words)].join(' or ') || 'one of the allowed forms';
}

/** Of a union's alternatives the one with the fewest faults is most likely the one that was meant. */
function nearest(errors: readonly ErrorObject[], union: ErrorObject): ErrorObject[] {
  const byBranch = Map.groupBy(
    errors,
    (error) => error.schemaPath.slice(union.schemaPath.length + 1).split('/')[0] ?? '',
  );
  const [fewest] = [...byBranch.values()].sort((a, b) => a.length - b.length);
  return (fewest ?? []).filter((error) => error.keyword !== 'anyOf');
}

function plain(error: ErrorObject): [pointer: string, message: string] {
  const { instancePath: at, keyword, params, parentSchema } = error;
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty']);
      const near = closestWord(name, Object.keys((parentSchema?.['properties'] as Schema | undefined) ?? {}));
      return [at + pointerOf([name]), near ? `is not known here; did you mean ${near}?` : 'is not known here'];
    }
    case 'required':
      return [at + pointerOf([String(params['missingProperty'])]), 'is missing'];
    case 'type':
      return [at, `must be ${[params['type']].flat().join(' or ')}`];
    case 'const':
    case 'enum':
      return [at, `must be ${alternatives([error])}`];
    case 'pattern':
      return [
        at,
        params['pattern'] === NAME_PATTERN ? `is no name: ${NAME_RULE}` : `must match ${String(params['pattern'])}`,
      ];
    case 'format':
      return [
        at,
        params['format'] === 'date-time'
          ? 'must be a time such as 2026-01-31T12:00:00Z'
          : `must be a ${params['format']}`,
      ];
    default:
      return [at, error.message ?? 'is not valid'];
  }
}
