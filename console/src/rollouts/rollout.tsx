import type { Rollout, ShownRollout } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf, useParam } from '../address.ts';
import { problemOf } from '../api.ts';
import { EndpointTabs, endpointTrail } from '../endpoints/endpoint-tabs.tsx';
import { useLive } from '../live.tsx';
import { Act } from '../parts/act.tsx';
import { count, share } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Empty, Facts, Page, Section } from '../parts/page.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { Value } from '../parts/value.tsx';
import { When } from '../parts/when.tsx';
import { useProject, useRefusal } from '../session.tsx';
import { Shadows } from './shadows.tsx';
import { StageTree } from './stage-tree.tsx';
import { stateOf } from './state-of.ts';

export function RolloutPage() {
  const endpoint = useParam('endpoint');
  const { client, project } = useProject();
  const isPaused = useLive().state === 'paused';
  const shown = useQuery({
    queryKey: ['rollouts', project, 'one', endpoint],
    queryFn: async () => {
      try {
        return await client.rollouts.show(endpoint);
      } catch (error) {
        if (problemOf(error).code === 'rollout_not_found') return null;
        throw error;
      }
    },
    // Gates are measured every second and no event tells each figure.
    refetchInterval: ({ state }) => (!isPaused && state.data && !state.data.rollout.isEnded ? 2_000 : false),
  });
  const traffic = useQuery({
    queryKey: ['traffic', project, 'series', endpoint],
    queryFn: () => client.traffic.show(endpoint, { stepMs: 10_000 }),
  });
  const rollout = shown.data?.rollout ?? null;
  return (
    <Page
      title={endpoint}
      trail={endpointTrail}
      stays={rollout !== null && !rollout.isEnded}
      about={
        rollout && (
          <>
            <Status tone={toneOf(stateOf(rollout))}>{stateOf(rollout)}</Status> {rollout.text}
          </>
        )
      }
      actions={
        rollout === null || rollout.isEnded ? (
          <Link to={`${addressOf.rollout(endpoint)}/new`} className="button main">
            Start a rollout
          </Link>
        ) : (
          <Commands rollout={rollout} perS={traffic.data?.points.at(-1)?.requestsPerS} />
        )
      }
    >
      <EndpointTabs name={endpoint} />
      <Loaded query={shown}>
        {(data) =>
          data === null ? (
            <Empty command={`bin/slipway rollouts start ${endpoint} --to latest --strategy canary`}>
              No traffic of this endpoint was ever moved in steps.{' '}
              <Link to={`${addressOf.rollout(endpoint)}/new`}>Start a rollout</Link>, or type:
            </Empty>
          ) : (
            <Whole {...data} />
          )
        }
      </Loaded>
    </Page>
  );
}

function Commands({ rollout, perS }: { rollout: Rollout; perS: number | undefined }) {
  const { client } = useProject();
  const { endpoint, model, from, to, phase, weight } = rollout;
  const mayDeploy = useRefusal('deploy', model);
  const mayPromote = useRefusal('promote', model);
  const run = (command: 'pause' | 'resume' | 'promote' | 'abort' | 'approve') => (reason: string) =>
    client.rollouts.command(endpoint, command, {
      ...(reason === '' ? {} : { reason }),
      ...(command === 'approve' && rollout.stage !== null ? { stage: rollout.stage } : {}),
    });
  const moved =
    perS === undefined ? '' : ` (${count(perS * (weight.observed ?? weight.asked))} of ${count(perS)} requests/s)`;
  const stage = rollout.stages.find((one) => one.state === 'now');
  return (
    <>
      <Act
        text="Abort"
        kind="danger"
        refusal={mayDeploy}
        typeName={endpoint}
        withReason
        consequence={`Gives the ${share(weight.observed ?? weight.asked)} of calls that go to version ${to.version}${moved} back to version ${from?.version ?? '–'} at once.`}
        run={run('abort')}
        done={`The rollout of ${endpoint} is aborted: version ${from?.version ?? '–'} gets all calls back.`}
        undo={{
          text: 'Start it again',
          run: () =>
            client.rollouts.start(endpoint, {
              to: String(to.version),
              strategy: rollout.strategy as 'canary',
              reason: 'started again',
            }),
        }}
      />
      {phase === 'paused' ? (
        <Act
          text="Resume"
          refusal={mayDeploy}
          withReason
          consequence="Goes on where it stopped."
          run={run('resume')}
          done="It goes on."
        />
      ) : (
        <Act
          text="Pause"
          refusal={mayDeploy}
          withReason
          consequence="Traffic stays as it is; guardrails stay armed."
          run={run('pause')}
          done={`The rollout of ${endpoint} is paused.`}
          undo={{ text: 'Resume', run: () => client.rollouts.command(endpoint, 'resume') }}
        />
      )}
      {stage?.kind === 'approve' && (
        <Act
          text="Approve"
          refusal={mayPromote}
          withReason
          consequence={`You agree that version ${to.version} goes on.`}
          run={run('approve')}
          done="Your approval is noted."
        />
      )}
      <Act
        text="Promote"
        kind="danger"
        refusal={mayPromote}
        typeName={endpoint}
        withReason
        consequence={`Gives version ${to.version} all calls${perS === undefined ? '' : `, ${count(perS)} requests/s,`} now, whatever the gates say.`}
        run={run('promote')}
        done={`Version ${to.version} gets all calls of ${endpoint}.`}
        undo={{ text: 'Roll back', run: () => client.rollback(endpoint, { reason: 'undone' }) }}
      />
    </>
  );
}

function Whole({ rollout, records, shadows }: ShownRollout) {
  return (
    <>
      <Facts
        facts={[
          [
            'From',
            rollout.from === null ? (
              'nothing'
            ) : (
              <Link key="from" to={addressOf.version(rollout.model, rollout.from.version)}>
                {`${rollout.model}@${rollout.from.version}`}
              </Link>
            ),
          ],
          [
            'To',
            <Link key="to" to={addressOf.version(rollout.model, rollout.to.version)}>
              {`${rollout.model}@${rollout.to.version}`}
            </Link>,
          ],
          ['Strategy', rollout.strategy],
          ['Weight asked', share(rollout.weight.asked)],
          [
            'Weight observed',
            rollout.weight.observed === null ? 'nothing was counted yet' : share(rollout.weight.observed),
          ],
          ['Started', <When key="at" at={rollout.startedAt} />],
          ['By', rollout.startedBy],
          ['In this phase', <When key="since" at={rollout.since} />],
          ...(rollout.approvals.length === 0 ? [] : ([['Approved by', rollout.approvals.join(', ')]] as const)),
        ]}
      />
      <Section title="Steps">
        <StageTree stages={rollout.stages} />
      </Section>
      {shadows.length > 0 && <Shadows shadows={shadows} />}
      <Section title="What happened">
        <Table
          label="What happened"
          idOf={(row) => String(row.revision)}
          rows={[...records].reverse()}
          columns={[
            { title: 'When', cell: (row) => <When at={row.at} /> },
            { title: 'From → to', cell: (row) => `${row.from} → ${row.to}` },
            { title: 'By', cell: (row) => row.by },
            { title: 'Why', kind: 'wide', cell: (row) => row.reason },
            {
              title: 'Evidence',
              cell: (row) => (row.evidence.length === 0 ? '–' : <Value value={row.evidence} />),
            },
          ]}
        />
      </Section>
    </>
  );
}
