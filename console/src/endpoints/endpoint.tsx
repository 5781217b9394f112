import type { Endpoint, LiveChange } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { addressOf, useParam } from '../address.ts';
import { Act } from '../parts/act.tsx';
import { bytes, count, share } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Facts, Page, Section } from '../parts/page.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useProject, useRefusal } from '../session.tsx';
import { EndpointTabs, endpointTrail } from './endpoint-tabs.tsx';
import { TrafficCharts } from './traffic-charts.tsx';
import { TryIt } from './try-it.tsx';

export function EndpointPage() {
  const name = useParam('endpoint');
  const { client, project } = useProject();
  const endpoint = useQuery({
    queryKey: ['endpoints', project, 'one', name],
    queryFn: () => client.endpoints.show(name),
  });
  const live = useQuery({
    queryKey: ['history', project, 'last', name],
    queryFn: async () => (await client.history(name, { limit: 1 }).page()).items[0] ?? null,
  });
  const traffic = useQuery({
    queryKey: ['traffic', project, 'series', name],
    queryFn: () => client.traffic.show(name, { stepMs: 10_000 }),
  });
  const perS = traffic.data?.points.at(-1)?.requestsPerS;
  return (
    <Page
      title={name}
      trail={endpointTrail}
      about={endpoint.data && <StateLine endpoint={endpoint.data} live={live.data ?? null} />}
      actions={endpoint.data && <Actions endpoint={endpoint.data} perS={perS} />}
    >
      <EndpointTabs name={name} />
      <Loaded query={endpoint}>
        {(seen) => (
          <>
            <Serving endpoint={seen} live={live.data ?? null} />
            <Section title="The last hour">
              <Loaded query={traffic}>{(series) => <TrafficCharts series={series} />}</Loaded>
            </Section>
            <Section title="Try it">
              <TryIt endpoint={seen} key={`${seen.name}@${seen.status.servingVersion}`} />
            </Section>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function StateLine({ endpoint, live }: { endpoint: Endpoint; live: LiveChange | null }) {
  const { state, reason, fix, servingVersion, observedAt } = endpoint.status;
  return (
    <>
      <Status tone={toneOf(state)}>{state}</Status> <span className="environment">{endpoint.environment}</span>
      {servingVersion !== null && (
        <>
          {' '}
          serves{' '}
          <Link to={addressOf.version(endpoint.model, servingVersion)}>{`${endpoint.model}@${servingVersion}`}</Link>
        </>
      )}
      {live && (
        <>
          {' '}
          since <When at={live.at} /> by {live.actor}
          {live.reason && <> ({live.reason})</>}
        </>
      )}{' '}
      · seen <When at={observedAt} />
      {reason && (
        <p>
          {reason} {fix && <code>{fix}</code>}
        </p>
      )}
    </>
  );
}

function Actions({ endpoint, perS }: { endpoint: Endpoint; perS: number | undefined }) {
  const { client } = useProject();
  const { name, model } = endpoint;
  const [version, setVersion] = useState(String(endpoint.targetVersion ?? ''));
  const [back, setBack] = useState('');
  const mayDeploy = useRefusal('deploy', model);
  const before = endpoint.target;
  const amount = perS === undefined ? 'all calls' : `all calls, ${count(perS)} requests/s now,`;
  return (
    <>
      <Link to={`${addressOf.rollout(name)}/new`} className="button main">
        Start a rollout
      </Link>
      <Act
        text="Switch version"
        kind="danger"
        refusal={mayDeploy}
        typeName={name}
        withReason
        consequence={`Moves ${amount} of ${name} to the version at once, when it has answered a real inference. A rollout would move them in steps.`}
        run={(reason) =>
          client.endpoints.update(
            name,
            { target: { version: Number(version) }, ...(reason === '' ? {} : { reason }) },
            { ifRevision: endpoint.revision },
          )
        }
        done={`${name} is set to version ${version}.`}
        undo={{
          text: `Back to ${'alias' in before ? before.alias : before.version}`,
          run: () => client.endpoints.update(name, { target: before, reason: 'undone' }),
        }}
      >
        <label className="field">
          Version
          <input type="number" min={1} required value={version} onChange={(event) => setVersion(event.target.value)} />
        </label>
      </Act>
      <Act
        text="Roll back"
        kind="danger"
        refusal={mayDeploy}
        typeName={name}
        withReason
        consequence={`Moves ${amount} of ${name} back to a version that was live before, at once.`}
        run={(reason) =>
          client.rollback(name, {
            ...(back === '' ? {} : { to: Number(back) }),
            ...(reason === '' ? {} : { reason }),
          })
        }
        done={`${name} goes back${back === '' ? ' to the version before' : ` to version ${back}`}.`}
        undo={{
          text: 'Undo',
          run: () => client.endpoints.update(name, { target: before, reason: 'undone' }),
        }}
      >
        <label className="field">
          To version (empty: the one before)
          <input type="number" min={1} value={back} onChange={(event) => setBack(event.target.value)} />
        </label>
      </Act>
      {endpoint.loaded ? (
        <Act
          text="Unload"
          kind="danger"
          refusal={mayDeploy}
          typeName={name}
          withReason
          consequence={`${name} stops answering: ${amount} get 503 until it is loaded again.`}
          run={(reason) => client.endpoints.update(name, { loaded: false, ...(reason === '' ? {} : { reason }) })}
          done={`${name} is unloaded.`}
          undo={{ text: 'Load it again', run: () => client.endpoints.update(name, { loaded: true }) }}
        />
      ) : (
        <Act
          text="Load"
          refusal={mayDeploy}
          consequence={`${name} answers again as soon as its version runs.`}
          run={() => client.endpoints.update(name, { loaded: true })}
          done={`${name} is being loaded.`}
        />
      )}
      <Act
        text="Delete endpoint"
        kind="danger"
        refusal={mayDeploy}
        typeName={name}
        consequence={`${name} is gone for its callers: ${amount} get 404. Model and versions stay.`}
        run={() => client.endpoints.remove(name)}
        done={`The endpoint ${name} was deleted.`}
        undo={{
          text: 'Make it again',
          run: () =>
            client.endpoints.create({
              name,
              model,
              target: before,
              environment: endpoint.environment,
              pins: endpoint.pins,
            }),
        }}
      />
    </>
  );
}

function Serving({ endpoint, live }: { endpoint: Endpoint; live: LiveChange | null }) {
  const { target, url, pins } = endpoint;
  const arms = live?.live?.arms ?? null;
  const shareOf = (version: number): number =>
    arms === null
      ? Number(version === endpoint.status.servingVersion)
      : arms.reduce((sum, arm) => sum + (arm.version === version ? arm.share : 0), 0);
  return (
    <>
      <Facts
        facts={[
          ['Address', url === null ? 'no gateway is connected' : <code key="url">{url}</code>, 'wide'],
          ['Follows', 'alias' in target ? `alias ${target.alias}` : `version ${target.version}`],
          ['Kept loaded besides', pins.length === 0 ? 'none' : pins.join(', ')],
          ['Made by', endpoint.createdBy],
        ]}
      />
      <Section title="Versions that run">
        <Table
          label="Versions that run"
          idOf={(row) => String(row.version)}
          rows={endpoint.status.versions}
          columns={[
            {
              title: 'Version',
              cell: (row) => (
                <Link to={addressOf.version(endpoint.model, row.version)}>{`${endpoint.model}@${row.version}`}</Link>
              ),
            },
            { title: 'State', cell: (row) => <Status tone={toneOf(row.state)}>{row.state}</Status> },
            {
              title: 'Share of calls',
              kind: 'number',
              cell: (row) => share(shareOf(row.version)),
            },
            { title: 'Since', cell: (row) => <When at={row.since} /> },
            { title: 'Memory', kind: 'number', cell: (row) => bytes(row.memoryBytes) },
            { title: 'Restarts', kind: 'number', cell: (row) => row.restarts },
            { title: 'Waiting', kind: 'number', cell: (row) => row.waiting },
            { title: 'Reason', kind: 'wide', cell: (row) => row.reason ?? '–' },
          ]}
        />
      </Section>
    </>
  );
}
