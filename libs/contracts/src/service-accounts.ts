import { z } from 'zod';

/** Who answers for a service: a person by principal id, or a group as `group:tenant/id`. */
export const PrincipalOwner = z
  .string()
  .regex(
    /^(?:group:[a-z0-9][a-z0-9-]{0,63}\/)?[a-z0-9][a-z0-9-]{0,63}$/,
    'an owner is the id of a person, or group: and tenant/id of a group',
  );
export type PrincipalOwner = z.infer<typeof PrincipalOwner>;
