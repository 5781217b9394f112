import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { afterEach, expect, test } from 'vitest';
import { type ManagementUnderTest, startManagement } from '../../../test/fixtures/management.ts';
import { findLeaks, findPermissionFaults } from '../../../test/fixtures/route-matrix.ts';
import { VERBS, type Verb } from '../access/permission.ts';
import { SlipwayError } from '../errors.ts';
import { callOf, registerProjectRoutes } from './management-server.ts';

let server: ManagementUnderTest;
afterEach(() => server?.close());

const things: Record<string, string[]> = { theirs: ['secret-thing'], ours: ['our-thing'] };
const Body = Type.Object({ thing: Type.String(), count: Type.Integer({ minimum: 1 }) });

/** @param leak whether the routes tell a foreign thing from an absent one */
function thingRoutes(leak: 'none' | 'other text' | 'other status' | 'in a body') {
  return (app: FastifyInstance): void =>
    registerProjectRoutes(app, (scope) => {
      const find = (project: string, name: string, strict: boolean): string => {
        const isElsewhere = Object.values(things).some((list) => list.includes(name));
        if (things[project]?.includes(name)) return name;
        if (!strict && isElsewhere) {
          if (leak === 'other status') throw new SlipwayError('not_permitted', 'Not yours');
          throw new SlipwayError('model_not_found', `There is no thing ${name} here`);
        }
        throw new SlipwayError('model_not_found', `There is no thing ${name}`);
      };
      scope.get('/things/:thing', { config: { permission: 'read' } }, async (request) => {
        const { thing } = request.params as { thing: string };
        return { thing: find(callOf(request).project.name, thing, leak === 'none' || leak === 'in a body') };
      });
      scope.post('/uses', { config: { permission: 'deploy' }, schema: { body: Body } }, async (request) => {
        const { thing } = request.body as { thing: string };
        return { thing: find(callOf(request).project.name, thing, leak !== 'in a body') };
      });
    });
}

async function leaksOf(leak: Parameters<typeof thingRoutes>[0]) {
  server = await startManagement({ routes: thingRoutes(leak) });
  for (const name of ['ours', 'theirs']) await server.call('POST', '/api/v1/projects', { body: { name } });
  const scopes = ['deploy', 'promote', 'predict'];
  return findLeaks({
    app: server.app,
    own: { project: 'ours', key: await server.makeKey('ours', scopes, 'ours') },
    foreign: { project: 'theirs', key: await server.makeKey('theirs', scopes, 'theirs') },
    values: { thing: { foreign: 'secret-thing', absent: 'no-such-thing' } },
  });
}

test('the isolation matrix passes routes that keep foreign things secret', async () => {
  expect(await leaksOf('none')).toEqual({ checked: 4, leaks: [] });
});

test.each(['other text', 'other status', 'in a body'] as const)(
  'the isolation matrix finds a leak by %s',
  async (leak) => {
    const { leaks } = await leaksOf(leak);
    expect(leaks.join()).toContain(
      leak === 'in a body' ? 'POST /uses with foreign names' : 'GET /things/:thing with foreign names',
    );
  },
);

test('every route answers as its declared permission promises, for no key and for each scope', async () => {
  server = await startManagement({ routes: thingRoutes('none') });
  const keys = Object.fromEntries(
    await Promise.all(VERBS.map(async (verb) => [verb, await server.makeKey(`only-${verb}`, [verb])])),
  ) as Record<Verb, string>;
  const { checked, faults } = await findPermissionFaults({ app: server.app, keys });
  expect(faults).toEqual([]);
  expect(checked).toBeGreaterThan(60);
});
