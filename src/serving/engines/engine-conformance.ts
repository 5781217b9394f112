import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Signature } from '../../registry/signature.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Engine, LoadedModel } from './engine.ts';
import { ENGINES } from './engine-facts.ts';

/** A model the engine can load, with calls and the answers they must get, bit for bit. */
export type ConformanceModel = {
  readonly title: string;
  readonly entryPath: string;
  readonly signature: Signature;
  readonly calls: readonly { readonly inputs: readonly Tensor[]; readonly outputs: readonly Tensor[] }[];
};

export type ConformanceOptions = {
  readonly create: () => Engine;
  readonly models: readonly ConformanceModel[];
  /** A model, of those above, that takes any number of rows of its first input. */
  readonly rows: ConformanceModel;
  /** A call that its model loads but cannot compute. */
  readonly poison: { readonly model: ConformanceModel; readonly inputs: readonly Tensor[] };
  /** Files that the engine must refuse to load, each with the code of the error. */
  readonly refused: readonly {
    readonly title: string;
    readonly entryPath: string;
    readonly signature: Signature;
    readonly code: string;
  }[];
  readonly skip?: readonly { readonly test: string; readonly reason: string }[];
};

/** What every engine must do. A new engine's test calls this with its own models. */
export function testEngine({ create, models, rows, poison, refused, skip = [] }: ConformanceOptions): void {
  const engine = create();
  const check = (title: string, body: () => Promise<void>): void => {
    const skipped = skip.find((row) => row.test === title);
    if (skipped === undefined) test(title, body);
    else test.skip(`${title} (${skipped.reason})`, () => {});
  };
  const load = ({ entryPath, signature }: Pick<ConformanceModel, 'entryPath' | 'signature'>): Promise<LoadedModel> =>
    engine.load({ entryPath, entryBytes: readFileSync(entryPath), signature, threads: 1 });

  describe(`the engine ${engine.name}`, () => {
    check('has a name and formats', async () => {
      expect(engine.name).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(ENGINES.find(({ name }) => name === engine.name)?.formats.length).toBeGreaterThan(0);
    });

    for (const model of models) {
      check(`answers ${model.title} exactly`, async () => {
        const loaded = await load(model);
        for (const { inputs, outputs } of model.calls) expect(await loaded.run(inputs)).toEqual(outputs);
        await loaded.close();
      });
    }

    check('gives the outputs in the order of the signature', async () => {
      const turned = { ...rows, signature: { ...rows.signature, outputs: [...rows.signature.outputs].reverse() } };
      const loaded = await load(turned);
      const outputs = await loaded.run(rows.calls[0]!.inputs);
      expect(outputs.map((output) => output.name)).toEqual(turned.signature.outputs.map((output) => output.name));
      await loaded.close();
    });

    check('leaves its inputs as they were, and its outputs after the next run', async () => {
      const loaded = await load(rows);
      const { inputs, outputs } = rows.calls[0]!;
      const before = structuredClone(inputs);
      const first = await loaded.run(inputs);
      await loaded.run(rows.calls[1]!.inputs);
      expect(inputs).toEqual(before);
      expect(first).toEqual(outputs);
      await loaded.close();
    });

    check('answers a call of no rows with no rows', async () => {
      const loaded = await load(rows);
      const inputs = rows.calls[0]!.inputs.map((input) => ({
        ...input,
        shape: [0, ...input.shape.slice(1)],
        data: input.data.slice(0, 0),
      }));
      const outputs = await loaded.run(inputs);
      expect(outputs.map((output) => [output.shape[0], output.data.length])).toEqual(outputs.map(() => [0, 0]));
      await loaded.close();
    });

    check('says what is wrong with inputs it cannot compute, without its own secrets, and goes on', async () => {
      const loaded = await load(poison.model);
      const error = await loaded.run(poison.inputs).then(
        () => expect.unreachable('it computed the poison'),
        (thrown: unknown) => thrown as Error,
      );
      expect(error).toBeInstanceOf(Error);
      expect(error.message).not.toMatch(/\.(cc|cpp|h|ts|js):\d+|(^|\s|")\/\w+\/|0x[0-9a-f]{6}/);
      const { inputs, outputs } = poison.model.calls[0]!;
      expect(await loaded.run(inputs)).toEqual(outputs);
      await loaded.close();
    });

    check('keeps two models apart', async () => {
      const loaded = await Promise.all([load(rows), load(poison.model)]);
      const [a, b] = await Promise.all([
        loaded[0].run(rows.calls[0]!.inputs),
        loaded[1].run(poison.model.calls[0]!.inputs),
      ]);
      expect(a).toEqual(rows.calls[0]!.outputs);
      expect(b).toEqual(poison.model.calls[0]!.outputs);
      await Promise.all(loaded.map((model) => model.close()));
    });

    for (const { title, entryPath, signature, code } of refused) {
      check(`refuses ${title}`, async () => {
        await expect(load({ entryPath, signature })).rejects.toMatchObject({
          code,
          message: expect.not.stringMatching(/\.(cc|cpp|h):\d+|(^|\s|")\/\w+\//),
        });
      });
    }
  });
}
