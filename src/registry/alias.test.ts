import { afterEach, describe, expect, it } from 'vitest';
import { eachDialect } from '../../test/fixtures/databases.ts';
import {
  modelBytes,
  type RegistryOptions,
  type RegistryUnderTest,
  startRegistry,
} from '../../test/fixtures/registry.ts';
import { SlipwayError } from '../base/errors.ts';

const add = modelBytes('add.onnx');
let under: RegistryUnderTest;
afterEach(() => under.close());
const start = async (options: RegistryOptions = {}) => {
  under = await startRegistry(options);
  for (let i = 0; i < 3; i++) await under.push('churn', { 'model.onnx': add });
  return under;
};
const page = { after: null, limit: 50 };

eachDialect('aliases', (dialect) => {
  it('every move is kept: who, when, from, to and why', async () => {
    let changes = 0;
    const { registry, call, callWith } = await start({
      database: await dialect.open(),
      onChange: () => void changes++,
    });
    for (const ref of ['1', '2', '3']) await registry.versions.get(call, 'churn', ref, { waitMs: 5000 });
    changes = 0;
    const eve = callWith({ principal: { ...call.principal, actor: 'key:eve' } });
    const set = await registry.aliases.set(call, 'churn', 'champion', { version: 1, reason: 'first' });
    expect(set).toMatchObject({ model: 'churn', name: 'champion', version: 1, revision: 1 });
    await registry.aliases.set(eve, 'churn', 'champion', { version: 2 });
    await registry.aliases.set(eve, 'churn', 'champion', { version: 2, reason: 'nothing to do' });
    await registry.aliases.remove(call, 'churn', 'champion', { reason: 'retired' });
    await registry.aliases.set(call, 'churn', 'champion', { version: 3 });
    const history = await registry.aliases.history(call, 'churn', 'champion', page);
    expect(history.map(({ from, to, actor, reason }) => [from, to, actor, reason])).toEqual([
      [null, 3, 'key:test', null],
      [2, null, 'key:test', 'retired'],
      [1, 2, 'key:eve', null],
      [null, 1, 'key:test', 'first'],
    ]);
    expect(changes).toBe(4);
    expect((await registry.versions.get(call, 'churn', 'champion')).version).toBe(3);
    expect((await registry.models.get(call, 'churn')).aliases).toEqual({ champion: 3 });
    expect((await registry.aliases.list(call, 'churn', page)).map((alias) => alias.revision)).toEqual([4]);
    const first = await registry.aliases.history(call, 'churn', 'champion', { after: null, limit: 3 });
    const rest = await registry.aliases.history(call, 'churn', 'champion', { after: first.at(-1)!.id, limit: 3 });
    expect(rest.map((move) => move.to)).toEqual([1]);
  });

  it('of many who move it at once from the same revision, one succeeds', async () => {
    const { registry, call, callWith } = await start({ database: await dialect.open() });
    await registry.aliases.set(call, 'churn', 'champion', { version: 1 });
    const guarded = callWith({ ifMatch: 1 });
    const moves = Array.from({ length: 20 }, (_, i) =>
      registry.aliases.set(guarded, 'churn', 'champion', { version: 2 + (i % 2) }).then(
        () => 'moved',
        (error: unknown) => (error as SlipwayError).code,
      ),
    );
    const outcomes = await Promise.all(moves);
    expect(outcomes.filter((outcome) => outcome === 'moved')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'revision_conflict')).toHaveLength(19);
  });

  it('the history cannot be changed, not even in the database', async () => {
    const { registry, call, database } = await start({ database: await dialect.open() });
    await registry.aliases.set(call, 'churn', 'champion', { version: 1 });
    await expect(database.db.updateTable('alias_history').set({ actor: 'nobody' }).execute()).rejects.toThrow(
      'append-only',
    );
    await expect(database.db.deleteFrom('alias_history').execute()).rejects.toThrow('append-only');
  });
});

describe('what is refused', () => {
  it('names that mean a version already', async () => {
    const { registry, call } = await start();
    for (const name of ['latest', '3', 'UPPER', 'a/b', '']) {
      const set = registry.aliases.set(call, 'churn', name, { version: 1 });
      await expect(set).rejects.toMatchObject({ code: 'invalid_name' });
    }
  });

  it('a version, or an alias, that does not exist', async () => {
    const { registry, call } = await start();
    const set = registry.aliases.set(call, 'churn', 'champion', { version: 9 });
    await expect(set).rejects.toMatchObject({ code: 'version_not_found' });
    await expect(registry.aliases.remove(call, 'churn', 'champion')).rejects.toMatchObject({ code: 'alias_not_found' });
    const history = registry.aliases.history(call, 'churn', 'champion', page);
    await expect(history).rejects.toMatchObject({ code: 'alias_not_found' });
    await expect(registry.versions.get(call, 'churn', 'champion')).rejects.toMatchObject({ code: 'alias_not_found' });
  });

  it('a move that an endpoint cannot follow, and nothing of it is kept', async () => {
    const refusal = new SlipwayError('version_not_servable', 'churn@2 did not pass validation');
    const { registry, call, database } = await start({
      endpoints: {
        assertAliasMovable: async (_db, move) => {
          if (move.version === 2 && !move.allowBreaking) throw refusal;
        },
        following: async (_db, _model, alias) => (alias === 'champion' ? ['live'] : []),
      },
    });
    await registry.aliases.set(call, 'churn', 'champion', { version: 1 });
    await expect(registry.aliases.set(call, 'churn', 'champion', { version: 2 })).rejects.toBe(refusal);
    expect(await database.db.selectFrom('alias_history').select('to_version').execute()).toEqual([{ to_version: 1 }]);
    await registry.aliases.set(call, 'churn', 'champion', { version: 2, allowBreaking: true });
    await expect(registry.aliases.remove(call, 'churn', 'champion')).rejects.toMatchObject({
      code: 'in_use',
      message: 'churn@champion is followed by live',
    });
  });

  it('keys without the scope promote', async () => {
    const { registry, callWith } = await start();
    for (const scopes of [['deploy'], ['read'], ['promote:fraud']]) {
      const set = registry.aliases.set(callWith({ scopes }), 'churn', 'champion', { version: 1 });
      await expect(set).rejects.toMatchObject({ code: 'not_permitted' });
    }
    await registry.aliases.set(callWith({ scopes: ['promote:churn'] }), 'churn', 'champion', { version: 1 });
  });
});
