'use client';
import { useChannel, useCount, useError, useHerenow, useMembers } from 'herenow/react';

export function Here({ page }) {
  const room = useChannel(useHerenow(), page, { join: true });
  const count = useCount(room);
  const users = useMembers(room, (all) => all.map(({ user }) => user));
  const error = useError(room);
  return error ? <p role="alert">{error.message}</p> : <p>{count} here: {users.join(', ')}</p>;
}
