import type { StartRollout as Start, StartedRollout } from '@slipway/sdk';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { addressOf, useParam } from '../address.ts';
import { endpointTrail } from '../endpoints/endpoint-tabs.tsx';
import { count, duration } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Page, Section } from '../parts/page.tsx';
import { Problem } from '../parts/problem.tsx';
import { Table } from '../parts/table.tsx';
import { useProject, useRefusal } from '../session.tsx';
import { useSay } from '../shell/notices.tsx';

const STRATEGIES = [
  ['canary', 'A growing share of callers, step by step; each step passes its gates first'],
  ['shadow', 'Copies of live calls, whose answers nobody gets; they are compared'],
  ['blue-green', 'Loaded beside the old one without traffic, then everybody at once'],
] as const;

/** A plan is looked at before anything moves. */
export function StartRollout() {
  const endpoint = useParam('endpoint');
  const { client, project } = useProject();
  const [to, setTo] = useState('latest');
  const [strategy, setStrategy] = useState<'canary' | 'blue-green' | 'shadow'>('canary');
  const [plan, setPlan] = useState('');
  const [reason, setReason] = useState('');
  const navigate = useNavigate();
  const queries = useQueryClient();
  const say = useSay();
  const serving = useQuery({
    queryKey: ['endpoints', project, 'one', endpoint],
    queryFn: () => client.endpoints.show(endpoint),
  });
  const model = serving.data?.model;
  const versions = useQuery({
    queryKey: ['registry', project, 'versions', model, undefined],
    queryFn: () => client.versions.list(model!, { limit: 100 }).page(),
    enabled: model !== undefined,
  });
  const refusal = useRefusal('deploy', model);
  const asked = (): Start => ({
    to,
    ...(plan.trim() === '' ? { strategy } : { plan }),
    ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
  });
  const look = useMutation({ mutationFn: () => client.rollouts.start(endpoint, asked(), { dryRun: true }) });
  const start = useMutation({
    mutationFn: () => client.rollouts.start(endpoint, asked()),
    onSuccess: async () => {
      await queries.invalidateQueries();
      say({
        text: `The rollout of ${endpoint} has started.`,
        undo: { text: 'Abort', run: () => client.rollouts.command(endpoint, 'abort', { reason: 'undone' }) },
      });
      await navigate({ to: addressOf.rollout(endpoint) });
    },
  });
  const changed = () => {
    look.reset();
    start.reset();
  };
  return (
    <Page
      title="Start a rollout"
      trail={[
        ...endpointTrail,
        { to: addressOf.endpoint(endpoint), text: endpoint },
        { to: addressOf.rollout(endpoint), text: 'Rollout' },
      ]}
      about="The plan and the traffic it needs are shown first; nothing moves before you say so."
    >
      <form
        className="form"
        onChange={changed}
        onSubmit={(event) => {
          event.preventDefault();
          look.mutate();
        }}
      >
        <label className="field">
          To version
          <select value={to} onChange={(event) => setTo(event.target.value)}>
            <option value="latest">latest</option>
            {versions.data?.items
              .filter((one) => one.status === 'ready')
              .map((one) => (
                <option key={one.version} value={String(one.version)}>
                  {one.version}
                  {one.aliases.length > 0 ? ` (${one.aliases.join(', ')})` : ''}
                  {one.version === serving.data?.status.servingVersion ? ', serves now' : ''}
                </option>
              ))}
          </select>
        </label>
        <fieldset className="field">
          <legend>Strategy</legend>
          {STRATEGIES.map(([name, about]) => (
            <label className="check" key={name}>
              <input
                type="radio"
                name="strategy"
                value={name}
                disabled={plan.trim() !== ''}
                checked={strategy === name}
                onChange={() => setStrategy(name)}
              />
              <span>
                <strong>{name}</strong> <span className="quiet">{about}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <details>
          <summary>A plan of your own, as YAML</summary>
          <label className="field">
            Plan
            <textarea
              rows={8}
              spellCheck={false}
              value={plan}
              placeholder={'strategy: canary\nstages:\n  - kind: canary\n    weights: [5%, 50%]\n  - kind: promote'}
              onChange={(event) => setPlan(event.target.value)}
            />
          </label>
        </details>
        <label className="field">
          Reason, for the history
          <input value={reason} maxLength={1000} onChange={(event) => setReason(event.target.value)} />
        </label>
        <div>
          <button
            type="submit"
            className="main"
            disabled={look.isPending || refusal !== null}
            title={refusal ?? undefined}
          >
            {look.isPending ? 'Looking…' : 'Show the plan'}
          </button>
          {refusal && <p className="small">{refusal}</p>}
        </div>
        {look.isError && <Problem error={look.error} />}
      </form>
      {look.data && (
        <Section title="The plan">
          <Plan started={look.data} />
          <p>
            <button type="button" className="main" disabled={start.isPending} onClick={() => start.mutate()}>
              {start.isPending ? 'Starting…' : `Start: move ${endpoint} to ${to}`}
            </button>
          </p>
          {start.isError && <Problem error={start.error} />}
        </Section>
      )}
      <Loaded query={serving}>{() => null}</Loaded>
    </Page>
  );
}

function Plan({ started }: { started: StartedRollout }) {
  return (
    <>
      <Table
        label="Stages and the traffic they need"
        idOf={(row) => row.stage}
        rows={started.estimates}
        columns={[
          { title: 'Stage', cell: (row) => row.stage },
          {
            title: 'Needs calls',
            kind: 'number',
            cell: (row) => (row.calls === null ? 'not known' : count(row.calls)),
          },
          {
            title: "At today's traffic",
            kind: 'number',
            cell: (row) => (row.ms === null ? 'not known' : duration(row.ms)),
          },
          {
            title: 'Gates',
            kind: 'wide',
            cell: (row) =>
              row.gates
                .map(({ gate, calls }) => (calls === null ? gate : `${gate} (${count(calls)} calls)`))
                .join(', ') || 'none',
          },
        ]}
      />
      <details>
        <summary>All of the plan</summary>
        <pre>{JSON.stringify(started.plan, null, 2)}</pre>
      </details>
    </>
  );
}
