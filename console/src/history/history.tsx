import type { LiveChange } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf, useSearchText, useSetSearch } from '../address.ts';
import { firstOf, PAGE_LIMIT } from '../first-of.ts';
import { share } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Empty, Page, Section, Tabs } from '../parts/page.tsx';
import { When } from '../parts/when.tsx';
import { useProject } from '../session.tsx';

export const historyTabs = [
  { to: '/history', text: 'What was live' },
  { to: '/history/audit', text: 'Audit log' },
];

type Moment = LiveChange & { endpoint: string };

/** Endpoints on one time line; of more than these, one is chosen. */
const MOST = 50;

export function History() {
  const { client, project } = useProject();
  const setSearch = useSetSearch();
  const only = useSearchText('endpoint');
  const at = useSearchText('at');
  const endpoints = useQuery({
    queryKey: ['endpoints', project, 'all'],
    queryFn: () => firstOf(client.endpoints.list({ limit: PAGE_LIMIT })),
  });
  const names = (endpoints.data?.items ?? []).map((one) => one.name);
  const shown = only === undefined ? names.slice(0, MOST) : [only];
  const history = useQuery({
    queryKey: ['history', project, 'line', shown, at],
    enabled: endpoints.data !== undefined,
    queryFn: async (): Promise<Moment[]> => {
      const when = at === undefined ? {} : { at: new Date(at).toISOString() };
      const lists = await Promise.all(
        shown.map(async (endpoint) =>
          (await client.history(endpoint, { limit: only === undefined ? 20 : 200, ...when }).page()).items.map(
            (one) => ({ ...one, endpoint }),
          ),
        ),
      );
      return lists.flat().sort((a, b) => b.at.localeCompare(a.at));
    },
  });
  return (
    <Page title="History" about="What was live when, by whom, and why.">
      <Tabs tabs={historyTabs} />
      <div className="row-of">
        <label className="inline">
          Endpoint{' '}
          <select value={only ?? ''} onChange={(event) => setSearch({ endpoint: event.target.value || undefined })}>
            <option value="">all{names.length > MOST ? `, the first ${MOST}` : ''}</option>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label className="inline">
          What held at{' '}
          <input
            type="datetime-local"
            value={at ?? ''}
            onChange={(event) => setSearch({ at: event.target.value || undefined })}
          />
        </label>
      </div>
      <Section title={at === undefined ? 'Changes' : 'What held then'}>
        <Loaded query={history}>
          {(moments) =>
            moments.length === 0 ? (
              <Empty command="bin/slipway deploy ./model.onnx --name churn">
                Nothing was live yet. A first deployment begins the history:
              </Empty>
            ) : (
              <ol className="timeline">
                {moments.map((moment) => (
                  <li key={moment.id}>
                    <When at={moment.at} /> <Link to={addressOf.endpoint(moment.endpoint)}>{moment.endpoint}</Link>:{' '}
                    {words(moment)}
                    <span className="quiet">
                      {' '}
                      by {moment.actor}
                      {moment.reason && <> · {moment.reason}</>}
                    </span>
                  </li>
                ))}
              </ol>
            )
          }
        </Loaded>
      </Section>
    </Page>
  );
}

function words({ live }: LiveChange): string {
  if (live === null) return 'gone';
  if (!live.loaded) return 'unloaded';
  const { model, target, arms, shadows } = live;
  const copies =
    shadows.length === 0 ? '' : `, copies to ${shadows.map((one) => `${model}@${one.version}`).join(', ')}`;
  if (arms !== null)
    return `${arms.map((arm) => `${model}@${arm.version} ${share(arm.share)}`).join(' and ')}${copies}`;
  return `${target === null ? 'nothing' : `${model}@${target.version}`}${copies}`;
}
