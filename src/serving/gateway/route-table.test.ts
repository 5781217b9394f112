/** The rule for paths that more than one protocol claims, and what the gateway reads in a path. */
import { describe, expect, test } from 'vitest';
import { HTTP_STATUSES, type Protocol, type Route } from '../protocols/protocol.ts';
import { FALLBACK, PROTOCOLS, protocolNamed } from '../protocols/protocols.ts';
import { conflictsOf, createRouteTable, type Found } from './route-table.ts';

const protocol = (name: string, ...routes: Route[]): Protocol => ({
  name,
  routes,
  statuses: HTTP_STATUSES,
  writeError: () => ({ contentType: 'text/plain', body: name }),
});
const read = (path: string, more: object = {}): Route => ({ kind: 'read', path, read: () => path, ...more });
const act = (path: string, more: object = {}): Route => ({ kind: 'action', path, act: () => path, ...more });
const absent = (path: string): Route => ({ kind: 'absent', path, reason: 'not here' });
const owners = ({ methods }: Found): object =>
  Object.fromEntries([...methods].map(([method, match]) => [method, `${match.protocol.name} ${match.route.path}`]));

const fallback = protocol('fallback', read('/'));

describe('a path that two protocols claim', () => {
  const one = protocol('one', read('/models'), read('/models/stats'), read('/models/{endpoint}'));
  const other = protocol('other', read('/models'), act('/models'), act('/models/{endpoint}', { methods: ['PUT'] }));

  test('belongs, method by method, to the one listed first', () => {
    expect(owners(createRouteTable([one, other], fallback).match('/models'))).toEqual({
      GET: 'one /models',
      HEAD: 'one /models',
      POST: 'other /models',
    });
    const reversed = createRouteTable([other, one], fallback).match('/models');
    expect(owners(reversed)).toEqual({ GET: 'other /models', HEAD: 'other /models', POST: 'other /models' });
    expect(reversed.allow).toBe('GET, HEAD, POST');
  });

  test('is told as a conflict, with the one who has it', () => {
    expect(conflictsOf([one, other])).toEqual([{ method: 'GET', path: '/models', loser: 'other', winner: 'one' }]);
    expect(conflictsOf([other, one])).toEqual([{ method: 'GET', path: '/models', loser: 'one', winner: 'other' }]);
    expect(conflictsOf([one])).toEqual([]);
  });

  test('within one protocol the first route has it', () => {
    expect(owners(createRouteTable([one], fallback).match('/models/stats'))).toMatchObject({
      GET: 'one /models/stats',
    });
  });

  test('an absent part takes the methods that nobody before it has', () => {
    const found = createRouteTable(
      [protocol('a', read('/x')), protocol('b', absent('/x')), protocol('c', act('/x'))],
      fallback,
    ).match('/x');
    expect(owners(found)).toEqual({ GET: 'a /x', HEAD: 'a /x' });
    expect(found.absent?.protocol.name).toBe('b');
    expect(conflictsOf([protocol('b', absent('/x')), protocol('c', act('/x'))])).toEqual([
      { method: 'POST', path: '/x', loser: 'c', winner: 'b' },
    ]);
  });
});

describe.each(conflictsOf(PROTOCOLS))(
  '$method $path of the protocols that there are',
  ({ method, path, winner, loser }) => {
    const ownerBy = (...first: string[]): string | undefined => {
      const listed = [...first.map(protocolNamed), ...PROTOCOLS.filter(({ name }) => !first.includes(name))];
      return createRouteTable(listed, FALLBACK)
        .match(path.replace(/\{\w+\}/g, 'm'))
        .methods.get(method)?.protocol.name;
    };

    test(`is ${winner}'s, unless ${loser} is listed before it or is alone`, () => {
      expect([ownerBy(), ownerBy(winner, loser)]).toEqual([winner, winner]);
      expect(ownerBy(loser)).toBe(loser);
      const alone = createRouteTable([protocolNamed(loser)], FALLBACK).match(path.replace(/\{\w+\}/g, 'm'));
      expect(alone.methods.get(method)?.protocol.name).toBe(loser);
    });
  },
);

describe('what a path names', () => {
  const table = createRouteTable(
    [
      protocol(
        'p',
        read('/v1/models/{endpoint}', { anyCase: true }),
        read('/v1/models/{endpoint}/versions/{version}'),
        read('/v1/models/{endpoint}/labels/{label}'),
        read('/x/{place}/{endpoint}:predict'),
        read('/ping', { methods: ['GET', 'OPTIONS'] }),
      ),
    ],
    fallback,
  );
  const get = (url: string) => table.match(url).methods.get('GET');

  test.each([
    ['/v1/models/half', { name: 'half', pin: null }],
    ['/V1/MODELS/half@3', { name: 'half', pin: 3 }],
    ['/v1/models/half/versions/3', { name: 'half', pin: 3 }],
    ['/v1/models/half@3/versions/3', { name: 'half', pin: 3 }],
    ['/v1/models/half/labels/stable', { name: 'half', pin: null, label: 'stable' }],
    ['/x/here/half:predict', { name: 'half', pin: null }],
    ['/p/eu/v1/models/h%61lf', { name: 'half', pin: null }],
  ])('%s', (url, ref) => {
    expect(get(url)?.ref).toEqual(ref);
  });

  test('a version that is none, two that differ, and a label beside a version name nothing', () => {
    expect(get('/v1/models/half/versions/x')).toMatchObject({ ref: null, badRef: 'half version x' });
    expect(get('/v1/models/half@2/versions/3')).toMatchObject({ ref: null });
    expect(get('/v1/models/half@2/labels/stable')).toMatchObject({ ref: null, badRef: 'half@2' });
  });

  test('project, parameters and query come along', () => {
    expect(get('/p/eu/x/here/half:predict?a=1&b')).toMatchObject({
      project: 'eu',
      params: { place: 'here', endpoint: 'half' },
      query: 'a=1&b',
    });
    expect(get('/v1/models/half')).toMatchObject({ project: 'default', query: '' });
  });

  test('methods other than the usual ones', () => {
    expect([...table.match('/ping').methods.keys()].sort()).toEqual(['GET', 'HEAD', 'OPTIONS']);
  });
});

test('a path without a route has the form of the first protocol with one like it, else the last resort’s', () => {
  const table = createRouteTable([protocol('a', read('/a/b')), protocol('b', read('/c'), read('/a/d'))], fallback);
  expect(table.match('/a/x').protocol.name).toBe('a');
  expect(table.match('/c/x').protocol.name).toBe('b');
  expect(table.match('/x').protocol.name).toBe('fallback');
  expect(table.match('/x')).toMatchObject({ allow: '', absent: null });
  expect(table.match(`/a/${'b'.repeat(3000)}`).allow).toBe('');
});
