import type { LoggedPrediction, ShownPolicy } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { addressOf, useParam, useSearchText, useSetSearch } from '../address.ts';
import { EndpointTabs, endpointTrail } from '../endpoints/endpoint-tabs.tsx';
import { firstOf, PAGE_LIMIT } from '../first-of.ts';
import { duration, share } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Empty, Page, Section } from '../parts/page.tsx';
import { Status } from '../parts/status.tsx';
import { PAGE_ROWS, PagedTable } from '../parts/table.tsx';
import { Value } from '../parts/value.tsx';
import { When } from '../parts/when.tsx';
import { useProject } from '../session.tsx';

/** Of one endpoint, or, without one, where to begin. */
export function Predictions() {
  const endpoint = useParam('endpoint');
  return endpoint === '' ? <Find /> : <OfEndpoint endpoint={endpoint} />;
}

function Find() {
  const { client, project } = useProject();
  const navigate = useNavigate();
  const [id, setId] = useState('');
  const endpoints = useQuery({
    queryKey: ['endpoints', project, 'all'],
    queryFn: () => firstOf(client.endpoints.list({ limit: PAGE_LIMIT })),
  });
  return (
    <Page title="Predictions" about="What happened to one request, and what an endpoint answered.">
      <form
        className="row-of"
        onSubmit={(event) => {
          event.preventDefault();
          void navigate({ to: addressOf.prediction(id.trim()) });
        }}
      >
        <label className="field grow">
          Id of a prediction, from X-Prediction-Id or the answer
          <input required value={id} spellCheck={false} onChange={(event) => setId(event.target.value)} />
        </label>
        <button type="submit" className="main">
          Find
        </button>
      </form>
      <Section title="By endpoint">
        <Loaded query={endpoints}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty command="bin/slipway deploy ./model.onnx --name churn">There is no endpoint yet:</Empty>
            ) : (
              <ul className="plain-list">
                {items.map((one) => (
                  <li key={one.name}>
                    <Link to={addressOf.predictions(one.name)}>{one.name}</Link>{' '}
                    <span className="quiet">
                      · <Link to={addressOf.profiles(one.name)}>profiles</Link>
                    </span>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Section>
    </Page>
  );
}

function OfEndpoint({ endpoint }: { endpoint: string }) {
  const { client, project } = useProject();
  const setSearch = useSetSearch();
  const after = useSearchText('after');
  const where = useSearchText('where') ?? '';
  const since = useSearchText('since') ?? '';
  const until = useSearchText('until') ?? '';
  const policy = useQuery({
    queryKey: ['registry', project, 'policy', endpoint],
    queryFn: () => client.policy.show(endpoint),
  });
  const predictions = useQuery({
    queryKey: ['predictions', project, endpoint, after, where, since, until],
    queryFn: () =>
      client.predictions
        .list(endpoint, {
          limit: PAGE_ROWS,
          ...(where === '' ? {} : { where }),
          ...(since === '' ? {} : { since: new Date(since).toISOString() }),
          ...(until === '' ? {} : { until: new Date(until).toISOString() }),
        })
        .page(after),
  });
  return (
    <Page
      title={endpoint}
      trail={endpointTrail}
      about={policy.data && <PolicyLine policy={policy.data} />}
      actions={
        <button type="button" onClick={() => void predictions.refetch()}>
          Look again
        </button>
      }
    >
      <EndpointTabs name={endpoint} />
      <form
        key={`${where} ${since} ${until}`}
        className="row-of filter"
        onSubmit={(event) => {
          event.preventDefault();
          const form = new FormData(event.currentTarget);
          const word = (name: string) => String(form.get(name) ?? '').trim() || undefined;
          setSearch({ where: word('where'), since: word('since'), until: word('until'), after: undefined });
        }}
      >
        <label className="field grow">
          Filter
          <input
            name="where"
            defaultValue={where}
            spellCheck={false}
            placeholder="output.score > 0.9 and version = 2 and arm = 'canary'"
          />
        </label>
        <label className="field">
          Since
          <input name="since" type="datetime-local" defaultValue={since} />
        </label>
        <label className="field">
          Until
          <input name="until" type="datetime-local" defaultValue={until} />
        </label>
        <button type="submit" className="main">
          Find
        </button>
      </form>
      <PagedTable<LoggedPrediction>
        label="Predictions, the youngest first"
        query={predictions}
        idOf={(row) => `${row.id}.${row.row}`}
        empty={
          <Empty command={`bin/slipway policy set ${endpoint} --file policy.yaml      # sample: 1`}>
            {policy.data?.policy.sample === 0
              ? 'Nothing is logged here: the policy keeps no values unless it is told to. To log every prediction:'
              : 'No logged prediction matches. What is new is written within seconds.'}
          </Empty>
        }
        columns={[
          {
            title: 'Prediction',
            cell: (row) => (
              <Link to={addressOf.prediction(`${row.id}.${row.row}`)} title={`${row.id}.${row.row}`}>
                <code>
                  …{row.id.slice(-12)}.{row.row}
                </code>
              </Link>
            ),
          },
          { title: 'When', cell: (row) => <When at={row.at} /> },
          { title: 'Version', kind: 'number', cell: (row) => row.version ?? '–' },
          { title: 'Arm', cell: (row) => row.arm ?? '–' },
          {
            title: 'Status',
            cell: (row) => <Status tone={row.status === 'answered' ? 'good' : 'bad'}>{row.status}</Status>,
          },
          { title: 'Took', kind: 'number', cell: (row) => duration(row.latencyMs) },
          { title: 'Inputs', kind: 'wide', cell: (row) => <Value value={row.inputs} /> },
          { title: 'Outputs', kind: 'wide', cell: (row) => <Value value={row.outputs} /> },
        ]}
      />
    </Page>
  );
}

export function PolicyLine({ policy }: { policy: ShownPolicy }) {
  const { sample, profile } = policy.policy;
  return (
    <>
      Policy: {sample === 0 ? 'no values are logged' : `${share(sample)} of predictions are logged`},{' '}
      {profile ? 'profiles are made' : 'no profiles are made'}
      {policy.updatedAt !== null && (
        <>
          , set <When at={policy.updatedAt} /> by {policy.updatedBy}
        </>
      )}
    </>
  );
}
