import type { ColumnProfile, Profile, QualityVerdict } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { useParam, useSearchText, useSetSearch } from '../address.ts';
import { EndpointTabs, endpointTrail } from '../endpoints/endpoint-tabs.tsx';
import { count, figure, share } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Empty, Page } from '../parts/page.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { localTime, When } from '../parts/when.tsx';
import { useProject } from '../session.tsx';
import { Spread } from './spread.tsx';

const HOUR = 3_600_000;
const RANGES = { 'last hour': HOUR, 'last day': 24 * HOUR, 'last week': 7 * 24 * HOUR } as const;
type Range = keyof typeof RANGES;

/**
 * Each column now, beside what it was before (the same length of time just before the one chosen) and beside the reference of the version,
 * where it has one; and what the rules of data quality say of it.
 */
export function Profiles() {
  const endpoint = useParam('endpoint');
  const { client, project } = useProject();
  const setSearch = useSetSearch();
  const asked = useSearchText('range') as Range | undefined;
  const range: Range = asked !== undefined && asked in RANGES ? asked : 'last day';
  const profiles = useQuery({
    queryKey: ['predictions', project, 'profiles', endpoint, range],
    queryFn: async () => {
      const until = Date.now();
      const ms = RANGES[range];
      const at = (time: number) => new Date(time).toISOString();
      const [now, before, quality] = await Promise.all([
        client.profile(endpoint, { since: at(until - ms), until: at(until) }),
        client.profile(endpoint, { since: at(until - 2 * ms), until: at(until - ms) }),
        client.quality.check(endpoint, { since: at(until - ms), until: at(until) }),
      ]);
      return { now, before, quality };
    },
  });
  return (
    <Page
      title={endpoint}
      trail={endpointTrail}
      about="What values were, column by column, from sketches that keep no single value."
    >
      <EndpointTabs name={endpoint} />
      <div className="row-of">
        <label className="inline">
          Time{' '}
          <select value={range} onChange={(event) => setSearch({ range: event.target.value })}>
            {Object.keys(RANGES).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <button type="button" onClick={() => void profiles.refetch()}>
          Look again
        </button>
      </div>
      <Loaded query={profiles}>{(seen) => <Columns {...seen} />}</Loaded>
    </Page>
  );
}

function Columns({ now, before, quality }: { now: Profile; before: Profile; quality: QualityVerdict }) {
  if (now.columns.length === 0) {
    return (
      <Empty command={`bin/slipway predict ${now.endpoint} --json '{…}'`}>
        No prediction was profiled in this time. Profiles are written within a minute of a call:
      </Empty>
    );
  }
  const then = new Map(before.columns.map((column) => [column.column, column]));
  return (
    <>
      <p>
        {count(now.predictions)} predictions, {count(now.failed)} of them failed, {localTime(now.from)} to{' '}
        {localTime(now.to)}
        {before.predictions > 0
          ? `; beside ${count(before.predictions)} in the same time before.`
          : '; there is nothing before to hold them against.'}
        {now.reference !== null && (
          <>
            {' '}
            The reference is of {count(now.reference.rows)}{' '}
            {now.reference.origin === 'file' ? 'rows that came with the version' : 'first predictions'}, made{' '}
            <When at={now.reference.madeAt} />.
          </>
        )}
        {now.profiled < now.rows && ` Profiles saw ${share(now.profiled / now.rows)} of the rows.`}
      </p>
      <Quality verdict={quality} />
      <div className="profiles">
        {now.columns.map((column) => (
          <Column key={column.column} now={column} before={then.get(column.column) ?? null} />
        ))}
      </div>
    </>
  );
}

function Quality({ verdict }: { verdict: QualityVerdict }) {
  const failed = verdict.findings.filter((one) => one.outcome === 'failed');
  const whose =
    verdict.revision === 0 ? 'the rules that its reference suggests' : `its rules, revision ${verdict.revision}`;
  if (verdict.outcome === 'unknown' && verdict.findings.length === 0) return null;
  return (
    <div className="verdict">
      <Status tone={toneOf(verdict.outcome)}>
        {verdict.outcome === 'passed'
          ? `Values are as ${whose} say`
          : verdict.outcome === 'failed'
            ? `${failed.length} of ${verdict.findings.length} checks of ${whose} fail`
            : `Too little was seen to judge by ${whose}`}
      </Status>
      {failed.length > 0 && (
        <ul>
          {failed.map((one) => (
            <li key={`${one.rule} ${one.column}`}>
              {one.column !== null && <code>{one.column}</code>} {one.message}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Column({ now, before }: { now: Profile['columns'][number]; before: ColumnProfile | null }) {
  const { reference } = now;
  const missing = now.missing / Math.max(1, now.values + now.missing);
  return (
    <figure className="profile">
      <figcaption>
        <code>{now.column}</code>
      </figcaption>
      <Spread now={now} other={reference ?? before} />
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span className="hidden">figure</span>
            </th>
            <th scope="col" className="number">
              now
            </th>
            <th scope="col" className="number">
              before
            </th>
            {reference && (
              <th scope="col" className="number">
                reference
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {figuresOf(now).map(([name, value], i) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td className="number">{value}</td>
              <td className="number">{before ? figuresOf(before)[i]?.[1] : '–'}</td>
              {reference && <td className="number">{figuresOf(reference)[i]?.[1]}</td>}
            </tr>
          ))}
        </tbody>
      </table>
      {missing > 0 && <p className="small">{share(missing)} of the values are missing.</p>}
    </figure>
  );
}

function figuresOf(column: ColumnProfile): [string, string][] {
  const { quantiles, kinds } = column;
  // What is no number is told by its length.
  const of = kinds.numbers > 0 ? '' : ' length';
  return [
    ['values', count(column.values)],
    ['missing', count(column.missing)],
    [`mean${of}`, figure(column.mean)],
    [`p5${of}`, figure(quantiles['p5'])],
    [`p50${of}`, figure(quantiles['p50'])],
    [`p95${of}`, figure(quantiles['p95'])],
    ['distinct', count(column.distinct)],
  ];
}
