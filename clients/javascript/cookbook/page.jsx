import { useChannel, useHerenow, useMembers, useSelf } from 'herenow/react';

/** `path` is what the router says; another one is another channel. */
export function OnThisPage({ path }) {
  const room = useChannel(useHerenow(), `page:${path}`, { join: true });
  const self = useSelf(room);
  return (
    <ul>
      {useMembers(room).map((member) => (
        <li key={member.user}>{member === self ? 'you' : member.user}</li>
      ))}
    </ul>
  );
}
