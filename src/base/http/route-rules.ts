import type { FastifyInstance, RouteOptions } from 'fastify';
import { Type } from 'typebox';
import { closeSchema } from '../schema-validation.ts';

/** Query of every change: check all, change nothing. */
export const DryRunQuery = Type.Object({
  dryRun: Type.Optional(
    Type.Unsafe<'1' | 'true' | '0' | 'false'>({
      type: 'string',
      enum: ['1', 'true', '0', 'false'],
      description: 'With `1` or `true`: check everything and answer as if, but change nothing.',
    }),
  ),
});

const MOUNT = Symbol('project mount');

/** Says that the routes of this scope, and of those inside it, are about things of a project. */
export function markMount(scope: FastifyInstance, kind: 'default' | 'named'): void {
  Object.assign(scope, { [MOUNT]: kind });
}

const EMPTY_QUERY = Type.Object({});

/** A route as it was registered: method, pattern, and what it declared. What test matrices are made from. */
export type RouteEntry = {
  readonly method: string;
  readonly url: string;
  readonly config: NonNullable<RouteOptions['config']>;
  readonly schema: Record<string, unknown>;
};

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route registered so far, HEAD twins left out. */
    readonly routeTable: readonly RouteEntry[];
  }
}

/**
 * What holds for every route, whoever registers it: it declares its permission, its schemas know no further properties, a query it
 * does not name is refused, and every change takes `dryRun`.
 */
export function applyRouteRules(app: FastifyInstance): void {
  const table: RouteEntry[] = [];
  app.decorate('routeTable', table);
  app.addHook('onRoute', function (route) {
    const methods = [route.method].flat();
    if (route.config?.permission === undefined) {
      throw new Error(`${methods.join()} ${route.url} declares no permission (config.permission)`);
    }
    const mount = (this as { [MOUNT]?: 'default' | 'named' })[MOUNT];
    route.config = { ...route.config, ...(mount === undefined ? {} : { mount }) };
    const schema = (route.schema ?? {}) as Record<string, unknown>;
    const isChange = methods.some((method) => !['GET', 'HEAD', 'OPTIONS'].includes(method));
    route.schema = {
      ...schema,
      querystring: closeSchema(withDryRun(schema['querystring'] ?? EMPTY_QUERY, isChange)),
      ...('body' in schema ? { body: closeSchema(schema['body']) } : {}),
    };
    for (const method of methods) {
      if (method !== 'HEAD') table.push({ method, url: route.url, config: route.config, schema: { ...route.schema } });
    }
  });
}

type ObjectSchema = { properties?: Record<string, unknown> };

const extended = new WeakMap<object, unknown>();

function withDryRun(schema: unknown, isChange: boolean): unknown {
  const object = schema as ObjectSchema;
  if (!isChange || object.properties === undefined || 'dryRun' in object.properties) return schema;
  const known = extended.get(object);
  if (known) return known;
  const result = { ...object, properties: { ...object.properties, ...DryRunQuery.properties } };
  extended.set(object, result);
  return result;
}

/** Which methods a path takes, for 405 and Allow. Patterns are those of the route table. */
export function createMethodLookup(table: readonly RouteEntry[]): (path: string) => string[] {
  const known = new Map<string, { matches: RegExp; methods: Set<string> }>();
  for (const { method, url } of table) {
    const entry = known.get(url) ?? { matches: patternOf(url), methods: new Set<string>() };
    entry.methods.add(method);
    if (method === 'GET') entry.methods.add('HEAD');
    known.set(url, entry);
  }
  return (path) => [
    ...new Set([...known.values()].filter(({ matches }) => matches.test(path)).flatMap(({ methods }) => [...methods])),
  ];
}

function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => {
    if (part.startsWith(':')) return '[^/]+';
    return part === '*' ? '.*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('/')}$`);
}
