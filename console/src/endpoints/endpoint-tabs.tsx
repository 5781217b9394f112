import { addressOf } from '../address.ts';
import { Tabs } from '../parts/page.tsx';

export function EndpointTabs({ name }: { name: string }) {
  return (
    <Tabs
      tabs={[
        { to: addressOf.endpoint(name), text: 'Serving' },
        { to: addressOf.rollout(name), text: 'Rollout', exact: false },
        { to: addressOf.predictions(name), text: 'Predictions' },
        { to: addressOf.profiles(name), text: 'Profiles' },
      ]}
    />
  );
}

export const endpointTrail = [{ to: '/endpoints', text: 'Endpoints' }] as const;
