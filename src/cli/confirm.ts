import { createInterface } from 'node:readline/promises';
import { CliError } from './cli-error.ts';
import type { Output } from './output.ts';

export type Confirmation = {
  /** What is destroyed, e.g. `model churn`. */
  readonly what: string;
  readonly name: string;
  readonly consequence: string;
  /** Value of `--confirm`. */
  readonly given: string | undefined;
  readonly mayAsk: boolean;
  readonly out: Output;
};

/** Lets pass only who named what will be destroyed. */
export async function askConfirmation(ask: Confirmation): Promise<void> {
  if (ask.given === ask.name) return;
  if (ask.given !== undefined) {
    throw new CliError('usage', `--confirm says ${ask.given}, but this deletes ${ask.name}`, {
      hint: `Repeat with --confirm=${ask.name} if that is meant.`,
    });
  }
  if (!ask.mayAsk) {
    throw new CliError('usage', `Deleting ${ask.what} needs --confirm=${ask.name}`, {
      hint: `${ask.consequence} Add --dry-run to see what would happen.`,
    });
  }
  ask.out.note(`This deletes ${ask.what}. ${ask.consequence}`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const typed = await terminal.question(`Type ${ask.name} to go on: `);
  terminal.close();
  if (typed.trim() !== ask.name) throw new CliError('usage', 'Nothing was deleted: the name does not match');
}
