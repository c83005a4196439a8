import { useHerenow, useStatuses } from 'herenow/react';
import { words } from './friends.js';

export function Friends({ ids }) {
  const statuses = useStatuses(useHerenow(), ids);
  return <ul>{ids.map((id, at) => <li key={id}>{id}: {statuses[at] ? words(statuses[at]) : '…'}</li>)}</ul>;
}
