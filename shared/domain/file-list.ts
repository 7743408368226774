import { z } from 'zod'

export const FILE_TYPES = ['file', 'directory', 'symlink', 'hardlink', 'fifo', 'socket', 'char', 'block'] as const
export type FileType = (typeof FILE_TYPES)[number]

/**
 * One line of MANIFEST and of files.ndjson: one directory entry under the media root.
 *
 * `path` is relative, '/'-separated, and valid UTF-8; a name that is not UTF-8 is given as `path_b64` (base64 of the raw
 * bytes) instead. The same holds for `link` / `link_b64` (symlink target, or for a hardlink the first path of the inode).
 * `mtime_ns` is a decimal string of nanoseconds since 1970, since it exceeds what a JSON number holds exactly.
 * `offset` is where the bytes begin in the plain archive named by `artifact`; absent for entries without bytes.
 */
export const FileEntry = z
  .object({
    path: z.string().optional(),
    path_b64: z.string().optional(),
    type: z.enum(FILE_TYPES),
    size: z.int().nonnegative(),
    mode: z.int().nonnegative(),
    uid: z.int().nonnegative(),
    gid: z.int().nonnegative(),
    mtime_ns: z.string().regex(/^-?\d+$/),
    link: z.string().optional(),
    link_b64: z.string().optional(),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
    content_type: z.string().optional(),
    /** Object storage only: the ACL as the source reports it. */
    acl: z.string().optional(),
    artifact: z.string().optional(),
    offset: z.int().nonnegative().optional(),
    /** changed: grew, shrank or was rewritten while read; skipped: not in the archive, `reason` says why. */
    flag: z.enum(['changed', 'vanished', 'skipped', 'unreadable']).optional(),
    reason: z.string().optional(),
  })
  .refine((entry) => (entry.path === undefined) !== (entry.path_b64 === undefined), 'exactly one of path, path_b64')
export type FileEntry = z.infer<typeof FileEntry>
