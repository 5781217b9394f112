/**
 * What became of the predictions of each arm and stage of a rollout: the log's arms joined with feedback by prediction id. Feedback that comes
 * late, twice or out of order counts as `label-join.ts` says: once, in its last revision.
 */

import type { Database, Db } from '../../base/db/database.ts';
import type { Signature } from '../../registry/signature.ts';
import { columnsOfSignature } from '../../registry/signature-columns.ts';
import type { ComparisonSpec } from '../../serving/endpoints/traffic.ts';
import { quoteText } from './duck-store.ts';
import { fieldNotKept } from './kept-fields.ts';
import { loadLabels } from './label-join.ts';
import type { LogQuery, LogScope } from './log-query.ts';
import { findPolicy } from './log-store.ts';
import { quoteName } from './where-expression.ts';

/** Of one arm at one stage. Counts are of first rows: further rows of a call are no independent observations. */
export type ArmOutcomes = {
  readonly stage: number;
  readonly arm: string;
  /** Analysed and answered predictions, with feedback or without. */
  readonly eligible: number;
  /** With a truth, and how many of those the answer missed. */
  readonly truths: number;
  readonly wrong: number;
  /** Distance of a number from its truth; scores; ratings. */
  readonly error: Spread;
  readonly score: Spread;
  readonly rating: Spread;
};
export type Spread = { readonly n: number; readonly mean: number; readonly m2: number };

/** Calls that a shadow answered too and whose truth is known: those on which one of both was right. */
export type PairedOutcomes = { readonly onlyLiveRight: number; readonly onlyShadowRight: number };

export type AskedOutcomes = {
  readonly project: LogScope['project'];
  readonly endpoint: string;
  /** Of predictions; those younger than `untilMs` may not have their feedback yet. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly plan: string;
  readonly epoch: number;
  readonly signature: Signature;
  readonly compare: ComparisonSpec;
  /** Name of the shadow for pairs. */
  readonly shadow: string;
};

export type Outcomes = { readonly arms: readonly ArmOutcomes[]; readonly paired: PairedOutcomes };

const NONE: Outcomes = { arms: [], paired: { onlyLiveRight: 0, onlyShadowRight: 0 } };
const ANALYSED = `"shadowOf" is null and "reason" = 'hash'`;

export type ArmOutcomesReader = ReturnType<typeof createArmOutcomes>;

export function createArmOutcomes({ database, query }: { database: Database; query: LogQuery }) {
  return {
    async read(asked: AskedOutcomes): Promise<Outcomes> {
      const { project, endpoint, fromMs, untilMs, plan, epoch, signature, compare, shadow } = asked;
      const scope = { project, endpoint, fromMs, toMs: untilMs };
      return query.run(scope, null, NONE, async (duck, relation, parameters, columns) => {
        await loadLabels(duck, database.db, project.id, endpoint);
        const { wrong, error } = judgementOf(compare, signature, columns);
        const known = '"stage" is not null and "row" = 0';
        await duck.run(
          `create or replace temp table seen as select "id", "stage", "arm", "shadowOf", ${ANALYSED} as is_live, "truth", "score", "rating",
             ${wrong} as wrong, ${error} as error
           from ${relation} log left join labels on labels.prediction_id = coalesce(log."shadowOf", log."id") and labels.prediction_row = 0
           where ${known} and "plan" = ? and "epoch" = ? and "status" = 'answered'`,
          [...parameters, plan, epoch],
        );
        const spread = (value: string): string =>
          `count(${value}) as ${value}_n, coalesce(avg(${value}), 0) as ${value}_mean, coalesce(var_pop(${value}) * count(${value}), 0) as ${value}_m2`;
        const arms = await duck.rows(
          `with seen as (select *, try_cast("score" as double) as points, try_cast("rating" as double) as stars from seen where is_live)
           select "stage", "arm", count(*) as eligible, count(wrong) as truths, count(*) filter (wrong) as wrong,
                  ${spread('error')}, ${spread('points')}, ${spread('stars')}
           from seen group by "stage", "arm"`,
        );
        const [paired] = await duck.rows(
          `select count(*) filter (not live.wrong and copy.wrong) as only_live, count(*) filter (live.wrong and not copy.wrong) as only_copy
           from seen live join seen copy on copy."shadowOf" = live."id" and copy."id" = live."id" || ${quoteText(`.${shadow}`)} where live."shadowOf" is null`,
        );
        await duck.run('drop table seen');
        await duck.run('drop table labels');
        return {
          arms: arms.map((row) => ({
            stage: Number(row['stage']),
            arm: String(row['arm']),
            eligible: Number(row['eligible']),
            truths: Number(row['truths']),
            wrong: Number(row['wrong']),
            error: spreadOf(row, 'error'),
            score: spreadOf(row, 'points'),
            rating: spreadOf(row, 'stars'),
          })),
          paired: { onlyLiveRight: Number(paired!['only_live']), onlyShadowRight: Number(paired!['only_copy']) },
        };
      });
    },

    /** Why feedback about an endpoint's predictions cannot be joined with their arms, as what would follow "cannot"; null when it can. */
    async obstacle(
      db: Db,
      asked: Pick<AskedOutcomes, 'project' | 'endpoint' | 'signature' | 'compare'>,
    ): Promise<string | null> {
      const { project, endpoint, signature, compare } = asked;
      const stored = await findPolicy(db, project.id, endpoint);
      if (stored === null || stored.policy.sample === 0)
        return `be joined: no prediction of ${endpoint} is logged. Set a sample: slipway policy set ${endpoint} --sample 1`;
      const fields = ['feedback.truth', ...columnsOf(compare, signature)];
      if (fields.length === 1)
        return 'be compared with its answers: which output decides is not known. Name the task in the plan';
      const field = await fieldNotKept(db, project.id, endpoint, fields);
      return field === undefined ? null : `be joined: the policy of ${endpoint} does not keep ${field} as it is`;
    },
  };
}

/** Columns of the output that decides; of a model whose task is not known the only one there is. */
function columnsOf(compare: ComparisonSpec, signature: Signature): string[] {
  const outputs = columnsOfSignature(signature).columns.filter(({ side }) => side === 'output');
  const deciding = compare.kind === 'exact' ? outputs : outputs.filter(({ tensor }) => tensor === compare.output);
  return compare.kind === 'exact' && deciding.length > 1 ? [] : deciding.map((column) => column.name);
}

/** SQL of whether an answer missed its truth, and by how much; null where there is no truth. */
function judgementOf(
  compare: ComparisonSpec,
  signature: Signature,
  columns: ReadonlyMap<string, string>,
): { readonly wrong: string; readonly error: string } {
  const nothing = { wrong: 'cast(null as boolean)', error: 'cast(null as double)' };
  const names = columnsOf(compare, signature).filter((name) => columns.has(name));
  if (names.length === 0) return nothing;
  // a truth is JSON: a text with its quotes, a number, true or false
  const truth = `trim("truth", '"')`;
  const number = `try_cast(${truth} as double)`;
  const [first] = names as [string];
  const own = quoteName(first);
  const isNumber = columns.get(first) !== 'text';
  if (compare.kind === 'regression' && isNumber) {
    const error = `abs(cast(${own} as double) - ${number})`;
    return {
      error,
      wrong: `(${error} > ${compare.absolute} and ${error} > ${compare.relative} * abs(${number}))`,
    };
  }
  if (compare.kind === 'classification' && names.length > 1) {
    const scores = names.map(quoteName).join(', ');
    const classes = classNamesOf(compare.output, signature, names.length).map(quoteText).join(', ');
    const place = `list_position([${scores}], greatest(${scores}))`;
    return {
      ...nothing,
      wrong: `(${truth} <> list_extract([${classes}], ${place}) and ${truth} <> cast(${place} - 1 as varchar))`,
    };
  }
  if (compare.kind === 'classification' && columns.get(first) === 'number') {
    const isYes = `(${own} >= ${compare.threshold ?? 0.5})`;
    return { error: `abs(${own} - ${number})`, wrong: `((${truth} in ('1', 'true', 'yes')) <> ${isYes})` };
  }
  return {
    ...nothing,
    wrong: isNumber
      ? `coalesce(${number} <> try_cast(${own} as double), ${truth} <> cast(${own} as varchar))`
      : `(${truth} <> ${own})`,
  };
}

function classNamesOf(output: string, signature: Signature, count: number): readonly string[] {
  const labels = signature.outputs.find((one) => one.name === output)?.labels;
  return labels?.length === count ? labels : Array.from({ length: count }, (_, at) => String(at));
}

function spreadOf(row: Record<string, unknown>, name: string): Spread {
  return { n: Number(row[`${name}_n`]), mean: Number(row[`${name}_mean`]), m2: Number(row[`${name}_m2`]) };
}
