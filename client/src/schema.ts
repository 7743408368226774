// Generated from /openapi.json by "npm run client:types".

export interface paths {
  '/iam/v3/me/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows whose the token is.
     * @description Needs the role viewer.
     */
    get: operations['get-me']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/applications/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists applications.
     * @description Needs the role viewer.
     */
    get: operations['get-applications']
    put?: never
    /**
     * Registers an application.
     * @description Needs the role admin.
     */
    post: operations['post-applications']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/applications/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows an application.
     * @description Needs the role viewer.
     */
    get: operations['get-applications-uuid']
    put?: never
    post?: never
    /**
     * Removes an application; its backups are kept.
     * @description Needs the role admin.
     */
    delete: operations['delete-applications-uuid']
    options?: never
    head?: never
    /**
     * Renames an application.
     * @description Needs the role admin.
     */
    patch: operations['patch-applications-uuid']
    trace?: never
  }
  '/apps/v3/environments/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists environments.
     * @description Needs the role viewer.
     */
    get: operations['get-environments']
    put?: never
    /**
     * Registers an environment of an application.
     * @description Needs the role admin.
     */
    post: operations['post-environments']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/environments/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows an environment.
     * @description Needs the role viewer.
     */
    get: operations['get-environments-uuid']
    put?: never
    post?: never
    /**
     * Removes an environment; its backups are kept.
     * @description Needs the role admin.
     */
    delete: operations['delete-environments-uuid']
    options?: never
    head?: never
    /**
     * Changes an environment; another plan that deletes more wants to be confirmed.
     * @description Needs the role admin.
     */
    patch: operations['patch-environments-uuid']
    trace?: never
  }
  '/apps/v3/environments/{uuid}/resume-pruning/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Allows the deletions again that a guard has stopped.
     * @description Needs the role admin.
     */
    post: operations['post-environments-uuid-resume-pruning']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/environments/{uuid}/latest/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows the newest good backup of an environment, and of each of its service instances.
     * @description Needs the role viewer.
     */
    get: operations['get-environments-uuid-latest']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/service-instances/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists service instances, without their connections.
     * @description Needs the role viewer.
     */
    get: operations['get-service-instances']
    put?: never
    /**
     * Registers a database or a folder of media files.
     * @description Needs the role admin.
     */
    post: operations['post-service-instances']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/service-instances/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows a service instance, without its connection.
     * @description Needs the role viewer.
     */
    get: operations['get-service-instances-uuid']
    put?: never
    post?: never
    /**
     * Removes a service instance; its backups are kept.
     * @description Needs the role admin.
     */
    delete: operations['delete-service-instances-uuid']
    options?: never
    head?: never
    /**
     * Changes the connection of a service instance, or its prefix.
     * @description Needs the role admin.
     */
    patch: operations['patch-service-instances-uuid']
    trace?: never
  }
  '/apps/v3/stores/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists stores.
     * @description Needs the role viewer.
     */
    get: operations['get-stores']
    put?: never
    /**
     * Registers a store that answers; a folder must be a store already.
     * @description Needs the role admin.
     */
    post: operations['post-stores']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/stores/{uuid}/check/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Compares a store with the catalog, both ways.
     * @description Needs the role admin.
     */
    post: operations['post-stores-uuid-check']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/catalog/rebuild/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Adds every backup of a store that the catalog lacks.
     * @description Needs the role admin.
     */
    post: operations['post-catalog-rebuild']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/accept/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Accepts a backup as genuine that was found without this Coffer's signature.
     * @description Needs the role admin.
     */
    post: operations['post-backups-uuid-accept']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/keys/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists the public keys that backups are, or were, encrypted for.
     * @description Needs the role viewer.
     */
    get: operations['get-keys']
    put?: never
    /**
     * Registers a public key: new backups are encrypted for it, too.
     * @description Needs the role admin.
     */
    post: operations['post-keys']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/keys/{recipient}/retire/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Retires a public key: nothing new is encrypted for it.
     * @description Needs the role admin.
     */
    post: operations['post-keys-recipient-retire']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/keys/{recipient}/backups/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists what a key can read, newest first.
     * @description Needs the role viewer.
     */
    get: operations['get-keys-recipient-backups']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/plans/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists plans.
     * @description Needs the role viewer.
     */
    get: operations['get-plans']
    put?: never
    /**
     * Makes a plan: when environments are backed up, what is kept and how it is verified.
     * @description Needs the role admin.
     */
    post: operations['post-plans']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/plans/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows a plan.
     * @description Needs the role viewer.
     */
    get: operations['get-plans-uuid']
    put?: never
    post?: never
    /**
     * Removes a plan that no environment has.
     * @description Needs the role admin.
     */
    delete: operations['delete-plans-uuid']
    options?: never
    head?: never
    /**
     * Changes a plan; a change that deletes more wants to be confirmed.
     * @description Needs the role admin.
     */
    patch: operations['patch-plans-uuid']
    trace?: never
  }
  '/apps/v3/schedules/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists when environments are backed up; what comes next is first.
     * @description Needs the role viewer.
     */
    get: operations['get-schedules']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/retention-preview/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows what a prune would delete now, and what is left after so many days.
     * @description Needs the role viewer.
     */
    get: operations['get-retention-preview']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/upload/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Makes a backup out of what is sent to the links that it answers.
     * @description Needs the role operator.
     */
    post: operations['post-backups-upload']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists backups, newest first.
     * @description Needs the role viewer.
     */
    get: operations['get-backups']
    put?: never
    /**
     * Backs an environment up: all of its service instances, or some.
     * @description Needs the role operator.
     */
    post: operations['post-backups']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows a backup.
     * @description Needs the role viewer.
     */
    get: operations['get-backups-uuid']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    /**
     * Changes the notes of a backup, or when it is deleted.
     * @description Needs the role admin.
     */
    patch: operations['patch-backups-uuid']
    trace?: never
  }
  '/apps/v3/backups/{uuid}/retry/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Runs again what failed of a backup, or was cancelled.
     * @description Needs the role operator.
     */
    post: operations['post-backups-uuid-retry']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/cancel/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Ends what waits or runs of a backup.
     * @description Needs the role operator.
     */
    post: operations['post-backups-uuid-cancel']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/hold/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Holds a backup: nothing deletes it until it is released.
     * @description Needs the role operator.
     */
    post: operations['post-backups-uuid-hold']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/release/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Ends the hold of a backup.
     * @description Needs the role operator.
     */
    post: operations['post-backups-uuid-release']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/acknowledge/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Accepts the size of a backup that was suspect.
     * @description Needs the role operator.
     */
    post: operations['post-backups-uuid-acknowledge']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/delete/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Deletes a backup, 24 hours from now.
     * @description Needs the role admin.
     */
    post: operations['post-backups-uuid-delete']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/undelete/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Takes a deletion back.
     * @description Needs the role admin.
     */
    post: operations['post-backups-uuid-undelete']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/service-instance-backups/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists backups of single service instances, newest first.
     * @description Needs the role viewer.
     */
    get: operations['get-service-instance-backups']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/service-instance-backups/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows the backup of one service instance, with its progress, errors and artifacts.
     * @description Needs the role viewer.
     */
    get: operations['get-service-instance-backups-uuid']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-downloads/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Makes links to what a backup holds.
     * @description Needs the role operator.
     */
    post: operations['post-backup-downloads']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-downloads/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    post?: never
    /**
     * Ends the links of a download.
     * @description Needs the role operator.
     */
    delete: operations['delete-backup-downloads-uuid']
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-download-service-instances/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists the artifacts of a download, with their links.
     * @description Needs the role operator.
     */
    get: operations['get-backup-download-service-instances']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-download-service-instances/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows one artifact of a download, with its links.
     * @description Needs the role operator.
     */
    get: operations['get-backup-download-service-instances-uuid']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-restores/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists restores, newest first.
     * @description Needs the role viewer.
     */
    get: operations['get-backup-restores']
    put?: never
    /**
     * Restores a backup, or parts of it.
     * @description Needs the role operator.
     */
    post: operations['post-backup-restores']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-restores/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows a restore.
     * @description Needs the role viewer.
     */
    get: operations['get-backup-restores-uuid']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-restores/{uuid}/cancel/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Cancels a restore; what can only be finished is finished.
     * @description Needs the role operator.
     */
    post: operations['post-backup-restores-uuid-cancel']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-restores/{uuid}/confirm/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Removes the old state that a restore has kept.
     * @description Needs the role operator.
     */
    post: operations['post-backup-restores-uuid-confirm']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-restores/{uuid}/undo/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Brings the old state back that a restore has kept.
     * @description Needs the role operator.
     */
    post: operations['post-backup-restores-uuid-undo']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/verifications/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists verifications, newest first.
     * @description Needs the role viewer.
     */
    get: operations['get-verifications']
    put?: never
    /**
     * Verifies what is stored of a service-instance backup, a backup or an environment.
     * @description Needs the role operator.
     */
    post: operations['post-verifications']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/verifications/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows a verification, with what it found.
     * @description Needs the role viewer.
     */
    get: operations['get-verifications-uuid']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backups/{uuid}/events/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Sends how far a backup is: `progress` whenever that changes, and `end` when it has ended.
     * @description Needs the role viewer.
     */
    get: operations['get-backups-uuid-events']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/backup-restores/{uuid}/events/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Sends how far a restore is, in the same way.
     * @description Needs the role viewer.
     */
    get: operations['get-backup-restores-uuid-events']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/status/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows what needs a person's attention.
     * @description Needs the role viewer.
     */
    get: operations['get-status']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/organisations/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists organisations.
     * @description Needs the role viewer.
     */
    get: operations['get-organisations']
    put?: never
    /**
     * Makes an organisation.
     * @description Needs the role admin.
     */
    post: operations['post-organisations']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/organisations/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows an organisation.
     * @description Needs the role viewer.
     */
    get: operations['get-organisations-uuid']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    /**
     * Changes an organisation.
     * @description Needs the role admin.
     */
    patch: operations['patch-organisations-uuid']
    trace?: never
  }
  '/apps/v3/tokens/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists tokens, without their text.
     * @description Needs the role admin.
     */
    get: operations['get-tokens']
    put?: never
    /**
     * Makes a token, and shows its text once.
     * @description Needs the role admin.
     */
    post: operations['post-tokens']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/tokens/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows a token, without its text.
     * @description Needs the role admin.
     */
    get: operations['get-tokens-uuid']
    put?: never
    post?: never
    /**
     * Revokes a token.
     * @description Needs the role admin.
     */
    delete: operations['delete-tokens-uuid']
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/audit/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists who did what, newest first.
     * @description Needs the role admin.
     */
    get: operations['get-audit']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/notification-sinks/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists where notifications go.
     * @description Needs the role admin.
     */
    get: operations['get-notification-sinks']
    put?: never
    /**
     * Registers where notifications go: a webhook, mail addresses or a heartbeat.
     * @description Needs the role admin.
     */
    post: operations['post-notification-sinks']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/notification-sinks/{uuid}/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Shows a notification sink, without its secrets.
     * @description Needs the role admin.
     */
    get: operations['get-notification-sinks-uuid']
    put?: never
    post?: never
    /**
     * Removes a notification sink.
     * @description Needs the role admin.
     */
    delete: operations['delete-notification-sinks-uuid']
    options?: never
    head?: never
    /**
     * Changes a notification sink; another address of a signed webhook gets another secret.
     * @description Needs the role admin.
     */
    patch: operations['patch-notification-sinks-uuid']
    trace?: never
  }
  '/apps/v3/notification-sinks/{uuid}/test/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Sends a test to a notification sink at once, and says how it went.
     * @description Needs the role admin.
     */
    post: operations['post-notification-sinks-uuid-test']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/events/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists what happened, newest first.
     * @description Needs the role viewer.
     */
    get: operations['get-events']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/notification-deliveries/': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /**
     * Lists what was sent to whom and how that went, newest first.
     * @description Needs the role admin.
     */
    get: operations['get-notification-deliveries']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/downloads/{uuid}/{form}': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Sends an artifact, or all of a download, to whoever has its signed link. */
    get: operations['get-downloads-uuid-form']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/uploads/{uuid}/content': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    /** Takes the bytes of an upload; sent again, they replace what was sent. */
    put: operations['put-uploads-uuid-content']
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/apps/v3/uploads/{uuid}/finish': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /** Says that all was sent; works once. */
    post: operations['post-uploads-uuid-finish']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/metrics': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Shows figures for Prometheus. */
    get: operations['get-metrics']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/healthz': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Says that the process lives. */
    get: operations['get-healthz']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/readyz': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Says whether everything that a backup needs answers, and what does not. */
    get: operations['get-readyz']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
}
export type webhooks = Record<string, never>
export interface components {
  schemas: {
    Me: {
      /** Format: uuid */
      uuid: string
      email: string
      /** @description the name of the token */
      first_name: string
      last_name: string
      /** @enum {string} */
      role: 'viewer' | 'operator' | 'admin'
      /** @description null: the whole installation */
      organisation: string | null
    }
    Token: {
      /** Format: uuid */
      uuid: string
      name: string
      /** @enum {string} */
      role: 'viewer' | 'operator' | 'admin'
      organisation: string | null
      /** Format: date-time */
      created_at: string
      created_by: string | null
      expires_at: string | null
      last_used_at: string | null
      revoked_at: string | null
    }
    MadeToken: {
      /** Format: uuid */
      uuid: string
      name: string
      /** @enum {string} */
      role: 'viewer' | 'operator' | 'admin'
      organisation: string | null
      /** Format: date-time */
      created_at: string
      created_by: string | null
      expires_at: string | null
      last_used_at: string | null
      revoked_at: string | null
      /** @description shown now, and never again */
      token: string
    }
    AuditLine: {
      id: number
      /** Format: date-time */
      at: string
      token: string | null
      token_name: string | null
      organisation: string | null
      address: string
      action: string
      targets: string[]
      status: number | null
      code: string | null
      changes: {
        [key: string]: unknown
      }
      request_id: string
    }
    Application: {
      /** Format: uuid */
      uuid: string
      slug: string
      name: string
      /** Format: uuid */
      organisation: string
      /** Format: date-time */
      created_at: string
    }
    Environment: {
      /** Format: uuid */
      uuid: string
      slug: string
      /** Format: uuid */
      application: string
      plan: string | null
      timezone: string
      /** @description null: the default store */
      store: string | null
      /** @description a guard has stopped its pruning, until a person allows it again */
      pruning_stopped: {
        reason: string
        at: string
      } | null
      last_finished_deployment: null
      /** Format: date-time */
      created_at: string
    }
    ServiceInstance: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      environment: string
      /** @enum {string} */
      type: 'DATABASE' | 'STORAGE'
      prefix: string
      /** @enum {string} */
      service_status: 'PROVISIONED' | 'CONNECTION_MISSING'
      /** Format: date-time */
      created_at: string
    }
    Organisation: {
      /** Format: uuid */
      uuid: string
      slug: string
      name: string
      /** @description null: all that the operator allows */
      media_roots: string[] | null
      /** Format: date-time */
      created_at: string
    }
    Latest: {
      /** Format: uuid */
      environment: string
      /** @description the newest one that has a good part for every service instance */
      backup: string | null
      service_instances: {
        /** Format: uuid */
        service_instance: string
        /** @enum {string} */
        service_type: 'DATABASE' | 'STORAGE'
        prefix: string
        service_instance_backup: string | null
        backup: string | null
        at: string | null
        taken_at: string | null
        /** @description bytes, stored */
        size: number | null
      }[]
    }
    Download: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      backup: string
      trigger: string
      /** Format: date-time */
      created_at: string
      /** Format: date-time */
      expires_at: string
      /** @description everything as one ZIP; null where the producer has no key */
      bundle_url: string | null
    }
    DownloadItem: {
      /** Format: uuid */
      uuid: string
      /**
       * Format: uuid
       * @description the uuid of the download
       */
      backup: string
      /** Format: uuid */
      service_instance_backup: string
      /** @enum {string} */
      service_type: 'DATABASE' | 'STORAGE'
      prefix: string
      /** @enum {string} */
      artifact: 'dump' | 'archive' | 'file-list'
      /** Format: date-time */
      ended_at: string
      /** Format: date-time */
      expires_at: string
      errors: {
        code: string
        message: string
        remedy: string
      }[]
      /** @description what was dumped or packed; null: the producer has no key for it */
      download_url: string | null
      filename: string
      size: number
      sha256: string
      /** @description as it lies in the store */
      stored_url: string
      stored_filename: string
      stored_size: number
      stored_sha256: string
    }
    RunError: {
      code: string
      message: string
      remedy: string
      attempt: number
      at: string
    }
    Progress: {
      plain_bytes: number
      stored_bytes: number
      expected_bytes: number | null
      files: number | null
      step: string | null
      updated_at: string
    }
    Backup: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      environment: string
      /** @enum {string} */
      state: 'QUEUED' | 'RUNNING' | 'SEALING' | 'COMPLETED' | 'DELETING' | 'DELETED'
      /** @description null until it has ended */
      success: ('SUCCESS' | 'PARTIAL' | 'FAILURE' | 'CANCELLED') | null
      /** @enum {string} */
      trigger: 'MANUAL' | 'SCHEDULED' | 'UPLOAD' | 'PRE_RESTORE'
      notes: string
      service_instance_backups: string[]
      /** @description bytes, stored */
      size: number | null
      /** Format: date-time */
      created_at: string
      ended_at: string | null
      scheduled_for_deletion_at: string | null
      labels: string[]
      due_at: string | null
      late: boolean
      hold: {
        reason: string
        by: string | null
        at: string
      } | null
      /** @description deleted by hand: until then it can be undone */
      delete_after: string | null
      delete_reason: string | null
      verified: {
        /** @enum {string} */
        level: 'metadata' | 'checksum' | 'drill'
        at: string
      } | null
      /** @description its service-instance backups that are corrupt */
      corrupt: string[]
    }
    ServiceInstanceBackup: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      backup: string
      /** Format: uuid */
      service_instance: string
      /** @enum {string} */
      service_type: 'DATABASE' | 'STORAGE'
      prefix: string
      /** @enum {string} */
      state: 'QUEUED' | 'RUNNING' | 'SEALING' | 'COMPLETED' | 'DELETING' | 'DELETED'
      success: ('SUCCESS' | 'PARTIAL' | 'FAILURE' | 'CANCELLED') | null
      attempt: number
      label: string | null
      /** Format: date-time */
      queued_at: string
      started_at: string | null
      ended_at: string | null
      taken_at: string | null
      /** @description bytes, stored */
      size: number | null
      errors: components['schemas']['RunError'][]
      warnings: string[]
      /** @description why its size is not believed */
      suspect: string | null
      verified: {
        /** @enum {string} */
        level: 'metadata' | 'checksum' | 'drill'
        at: string
      } | null
      corrupt: {
        at: string
        reason: string | null
      } | null
      unverified_at: string | null
      deleted_at: string | null
      progress: components['schemas']['Progress'] | null
      retry_at: string | null
      artifacts: {
        /** @enum {string} */
        kind: 'dump' | 'archive' | 'file-list'
        key: string
        plain_size: number
        plain_sha256: string
        stored_size: number
        stored_sha256: string
        encodings: ('zstd' | 'age')[]
      }[]
    }
    WatchedBackup: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      environment: string
      /** @enum {string} */
      state: 'QUEUED' | 'RUNNING' | 'SEALING' | 'COMPLETED' | 'DELETING' | 'DELETED'
      /** @description null until it has ended */
      success: ('SUCCESS' | 'PARTIAL' | 'FAILURE' | 'CANCELLED') | null
      /** @enum {string} */
      trigger: 'MANUAL' | 'SCHEDULED' | 'UPLOAD' | 'PRE_RESTORE'
      notes: string
      service_instance_backups: string[]
      /** @description bytes, stored */
      size: number | null
      /** Format: date-time */
      created_at: string
      ended_at: string | null
      scheduled_for_deletion_at: string | null
      labels: string[]
      due_at: string | null
      late: boolean
      hold: {
        reason: string
        by: string | null
        at: string
      } | null
      /** @description deleted by hand: until then it can be undone */
      delete_after: string | null
      delete_reason: string | null
      verified: {
        /** @enum {string} */
        level: 'metadata' | 'checksum' | 'drill'
        at: string
      } | null
      /** @description its service-instance backups that are corrupt */
      corrupt: string[]
      service_instance_backup_details: components['schemas']['ServiceInstanceBackup'][]
    }
    Upload: {
      /** Format: uuid */
      uuid: string
      /** Format: date-time */
      expires_at: string
      /** @description by service instance: where to send its bytes, and what to call when all are sent */
      results: {
        [key: string]: {
          /** @constant */
          handler: 'exo-presigned-v1'
          upload_parameters: {
            url: string
            /** @constant */
            http_method: 'PUT'
            max_file_size: number
          }
          finish_url: string
        }
      }
    }
    ServiceInstanceRestore: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      service_instance_backup: string
      /** Format: uuid */
      service_instance: string
      /** @enum {string} */
      state: 'QUEUED' | 'RUNNING' | 'COMPLETED'
      success: ('SUCCESS' | 'PARTIAL' | 'FAILURE' | 'CANCELLED') | null
      attempt: number
      selection: {
        /** @default [] */
        schemas: string[]
        /** @default [] */
        tables: string[]
        /** @default [] */
        paths: string[]
      }
      progress: components['schemas']['Progress'] | null
      /** @description what the look at the target found before anything was written */
      preflight: {
        is_empty: boolean
        keeps_old_state: boolean
        method: string
        left_out: string[]
      } | null
      safety_backup: string | null
      report: {
        [key: string]: unknown
      } | null
      errors: components['schemas']['RunError'][]
      kept_until_confirmed: boolean
      /** @enum {string} */
      action: 'restore' | 'confirm' | 'undo'
      /** @enum {string} */
      action_state: 'QUEUED' | 'RUNNING' | 'COMPLETED'
      confirmed_at: string | null
      undone_at: string | null
      /** Format: date-time */
      queued_at: string
      started_at: string | null
      ended_at: string | null
    }
    Restore: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      backup: string
      notes: string
      /** Format: date-time */
      created_at: string
      ended_at: string | null
      finished: boolean
      success: ('SUCCESS' | 'PARTIAL' | 'FAILURE' | 'CANCELLED') | null
      service_instance_restores: components['schemas']['ServiceInstanceRestore'][]
    }
    Store: {
      /** Format: uuid */
      uuid: string
      name: string
      /** @description without credentials */
      url: string
      region: string
      is_default: boolean
      /** Format: date-time */
      created_at: string
    }
    StoreCheck: {
      /** Format: uuid */
      store: string
      objects: number
      backups: number
      /** @description keys of objects that no backup owns: the first 1000 */
      unowned: string[]
      unowned_count: number
      lost: {
        /** Format: uuid */
        service_instance_backup: string
        /** Format: uuid */
        environment: string
        missing: string[]
      }[]
      found: string[]
    }
    Rebuild: {
      /** Format: uuid */
      store: string
      manifests: number
      added: number
      adopted: number
      known: number
      made: {
        organisations: number
        applications: number
        environments: number
        service_instances: number
      }
      lost: {
        /** Format: uuid */
        service_instance_backup: string
        readonly missing: string[]
      }[]
      unverified: {
        /** Format: uuid */
        backup: string
        /** Format: uuid */
        service_instance_backup: string
        key: string
      }[]
      unverified_count: number
      rejected: {
        key: string
        reason: string
      }[]
      rejected_count: number
      differences: {
        /** Format: uuid */
        service_instance_backup: string
        key: string
        what: string
      }[]
      differences_count: number
      pruning_stopped: string[]
    }
    Key: {
      recipient: string
      name: string | null
      created_at: string | null
      retired_at: string | null
      backups: number
      in_use: boolean
      /** @description which running processes hold its identity */
      opened_by: string[]
    }
    ReadableBackup: {
      /** Format: uuid */
      backup: string
      /** Format: uuid */
      service_instance_backup: string
      application: string
      environment: string
      service_type: string
      prefix: string
      /** Format: date-time */
      created_at: string
    }
    Sink: {
      /** Format: uuid */
      uuid: string
      organisation: string | null
      name: string
      /** @enum {string} */
      type: 'webhook' | 'email' | 'heartbeat'
      format: ('coffer' | 'slack') | null
      target: string
      /** @description null: all */
      environments: string[] | null
      /** @description null: all */
      kinds: string[] | null
      queued: number
      last_error: string | null
      /** Format: date-time */
      created_at: string
    }
    MadeSink: {
      /** Format: uuid */
      uuid: string
      organisation: string | null
      name: string
      /** @enum {string} */
      type: 'webhook' | 'email' | 'heartbeat'
      format: ('coffer' | 'slack') | null
      target: string
      /** @description null: all */
      environments: string[] | null
      /** @description null: all */
      kinds: string[] | null
      queued: number
      last_error: string | null
      /** Format: date-time */
      created_at: string
      /** @description of a signed webhook: shown now, and never again */
      signing_secret?: string
    }
    TestedSink: {
      /** Format: uuid */
      event: string
      delivered: boolean
      /** @description why it was not delivered */
      error: {
        code: string
        message: string
        remedy: string
      } | null
    }
    Event: {
      /** Format: uuid */
      uuid: string
      kind: string
      /** Format: date-time */
      at: string
      message: string
      organisation: string | null
      application: string | null
      environment_slug: string | null
      environment: string | null
      backup: string | null
      facts: {
        [key: string]: unknown
      }
    }
    Delivery: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      event: string
      kind: string
      /** Format: uuid */
      sink: string
      /** @enum {string} */
      state: 'QUEUED' | 'DELIVERED' | 'GAVE_UP'
      tries: number
      error: string | null
      /** Format: date-time */
      created_at: string
      ended_at: string | null
    }
    RetentionPolicy: {
      scheduled: {
        tiers: {
          label: string
          /** @enum {string} */
          per: 'hour' | 'day' | 'week' | 'month' | 'year'
          keep: number
        }[]
      }
      on_demand: {
        keep_days: number
        keep_newest: number
      }
      safety: {
        keep_days: number
        keep_newest: number
      }
    }
    ScheduleRule:
      | {
          name: string
          /** @constant */
          kind: 'cron'
          cron: string
        }
      | {
          name: string
          /** @constant */
          kind: 'daily'
          from: string
          until: string
        }
      | {
          name: string
          /** @constant */
          kind: 'weekly'
          /** @enum {string} */
          day: 'sunday' | 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday'
          from: string
          until: string
        }
    VerificationPolicy: {
      metadata: {
        every_days: number
      } | null
      checksum: {
        every_days: number
        most_per_day: number
      } | null
      drill: {
        every_days: number
      } | null
    }
    Plan: {
      /** Format: uuid */
      uuid: string
      slug: string
      name: string
      schedules: components['schemas']['ScheduleRule'][]
      retention: components['schemas']['RetentionPolicy']
      verification: components['schemas']['VerificationPolicy']
      expected_within_hours: number | null
      is_shipped: boolean
      /** Format: date-time */
      created_at: string
    }
    Schedule: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      environment: string
      name: string
      rule: components['schemas']['ScheduleRule']
      timezone: string
      next_due_at: string | null
      last_due_at: string | null
      /** Format: date-time */
      created_at: string
    }
    RetentionPreview: {
      /** Format: uuid */
      environment: string
      plan: string | null
      days: number
      retention: components['schemas']['RetentionPolicy']
      service_instances: {
        /** Format: uuid */
        service_instance: string
        /** @enum {string} */
        service_type: 'DATABASE' | 'STORAGE'
        prefix: string
        today: {
          /** Format: uuid */
          id: string
          /** Format: uuid */
          backup: string
          /** @enum {string} */
          action: 'keep' | 'delete'
          rule: string
          reason: string
          label: string | null
          current_label: string | null
          until: string | null
          /** Format: date-time */
          at: string
          bucket_date: string
          /** @enum {string} */
          policy_class: 'scheduled' | 'on_demand' | 'temporary' | 'safety'
          standing: string
          size: number | null
        }[]
        kept: {
          id: string
          /** @description null: simulated */
          backup: string | null
          /** Format: date-time */
          at: string
          bucket_date: string
          /** @enum {string} */
          policy_class: 'scheduled' | 'on_demand' | 'temporary' | 'safety'
          label: string | null
          rule: string
          reason: string
          until: string | null
        }[]
        going: {
          /** Format: uuid */
          id: string
          /** Format: uuid */
          backup: string
          /** Format: date-time */
          at: string
          label: string | null
          /** Format: date-time */
          goes_at: string
          rule: string
          reason: string
        }[]
        counts: {
          [key: string]: number
        }
      }[]
    }
    Status: {
      overdue: {
        count: number
        results: {
          /** Format: uuid */
          environment: string
          slug: string
          application: string
          /** Format: date-time */
          expected_by: string
          last_good_at: string | null
        }[]
      }
      alerts: {
        count: number
        results: {
          /** Format: uuid */
          uuid: string
          kind: string
          subject: string
          environment: string | null
          message: string
          /** Format: date-time */
          raised_at: string
        }[]
      }
      /** @description by queue: how many jobs wait, run and have failed; null: Redis does not answer */
      queues: {
        [key: string]: {
          [key: string]: number
        }
      } | null
    }
    Verification: {
      /** Format: uuid */
      uuid: string
      /** Format: uuid */
      environment: string
      backup: string | null
      service_instance_backup: string | null
      service_instance: string | null
      service_type: ('DATABASE' | 'STORAGE') | null
      prefix: string | null
      /** @enum {string} */
      level: 'metadata' | 'checksum' | 'drill'
      /** @enum {string} */
      trigger: 'MANUAL' | 'SCHEDULED'
      requested_by: string | null
      /** @enum {string} */
      state: 'QUEUED' | 'RUNNING' | 'COMPLETED'
      outcome: ('passed' | 'failed' | 'unreadable' | 'lost' | 'corrupt') | null
      attempt: number
      progress: components['schemas']['Progress'] | null
      report: {
        [key: string]: unknown
      } | null
      errors: components['schemas']['RunError'][]
      /** Format: date-time */
      queued_at: string
      started_at: string | null
      ended_at: string | null
    }
    RequestedVerifications: {
      results: components['schemas']['Verification'][]
    }
    /** @description RFC 9457; `code` is stable. */
    Problem: {
      type: string
      title: string
      status: number
      /** @enum {string} */
      code:
        | 'CONFIG_INVALID'
        | 'REQUEST_INVALID'
        | 'REQUEST_MALFORMED'
        | 'REQUEST_TOO_LARGE'
        | 'MEDIA_TYPE_UNSUPPORTED'
        | 'UNAUTHENTICATED'
        | 'FORBIDDEN'
        | 'NOT_FOUND'
        | 'METHOD_NOT_ALLOWED'
        | 'CONFLICT'
        | 'HELD'
        | 'GUARD_REFUSED'
        | 'CONFIRMATION_REQUIRED'
        | 'PRUNE_INCOMPLETE'
        | 'LINK_EXPIRED'
        | 'UPLOAD_EXPIRED'
        | 'RANGE_NOT_SATISFIABLE'
        | 'IDEMPOTENCY_KEY_REUSED'
        | 'IDEMPOTENCY_KEY_BUSY'
        | 'REQUEST_TIMEOUT'
        | 'HEADERS_TOO_LARGE'
        | 'RATE_LIMITED'
        | 'TOO_MANY_ATTEMPTS'
        | 'SERVICE_UNAVAILABLE'
        | 'INTERNAL'
        | 'PLAN_INVALID'
        | 'CONNECTION_INVALID'
        | 'CONNECTION_REFUSED_BY_POLICY'
        | 'CONNECTION_MISSING'
        | 'EGRESS_REFUSED'
        | 'HOST_UNKNOWN'
        | 'SINK_FAILED'
        | 'SOURCE_AUTH_FAILED'
        | 'SOURCE_DATABASE_UNKNOWN'
        | 'SOURCE_PERMISSION_DENIED'
        | 'SOURCE_UNREACHABLE'
        | 'SOURCE_LOCKED'
        | 'SERVER_VERSION_UNSUPPORTED'
        | 'CLIENT_MISSING'
        | 'DUMP_FAILED'
        | 'DUMP_INVALID'
        | 'MEDIA_ROOT_MISSING'
        | 'MEDIA_EMPTIED'
        | 'MEDIA_UNREADABLE'
        | 'ARCHIVE_INVALID'
        | 'STORE_UNREACHABLE'
        | 'STORE_REFUSED'
        | 'STORE_FULL'
        | 'STORE_MISMATCH'
        | 'STORE_OCCUPIED'
        | 'OBJECT_NOT_FOUND'
        | 'OBJECT_TOO_LARGE'
        | 'ARTIFACT_CORRUPT'
        | 'QUARANTINED'
        | 'SIGNATURE_UNKNOWN'
        | 'CONTENTS_DIFFER'
        | 'DRILL_SERVER_MISSING'
        | 'DRILL_SERVER_FAILED'
        | 'KEY_MISSING'
        | 'KEY_WRONG'
        | 'KEYS_UNREADABLE'
        | 'TARGET_NOT_EMPTY'
        | 'TARGET_INCOMPATIBLE'
        | 'RESTORE_UNCONFIRMED'
        | 'SAFETY_BACKUP_FAILED'
        | 'RESTORE_FAILED'
        | 'RESTORE_MISMATCH'
        | 'RUN_FENCED'
        | 'RUN_CANCELLED'
        | 'RUN_STALLED'
        | 'RUN_DEADLINE'
        | 'RUN_ABANDONED'
        | 'RUN_MISSED'
        | 'WORKER_STOPPED'
        | 'USAGE_INVALID'
        | 'PRODUCER_UNREACHABLE'
        | 'ANSWER_INVALID'
        | 'WAIT_TIMED_OUT'
        | 'UPLOAD_BROKEN'
        | 'DOWNLOAD_BROKEN'
        | 'OUTPUT_EXISTS'
        | 'OUTPUT_FAILED'
      detail: string
      remedy: string
      errors?: {
        field: string
        message: string
      }[]
      /** @description of CONFIRMATION_REQUIRED: what to send back as `confirm` */
      digest?: string
      would_delete?: Record<string, never>[]
      request_id: string
    }
  }
  responses: never
  parameters: {
    /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
    IdempotencyKey: string
  }
  requestBodies: never
  headers: never
  pathItems: never
}
export type $defs = Record<string, never>
export interface operations {
  'get-me': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Me']
        }
      }
    }
  }
  'get-applications': {
    parameters: {
      query?: {
        slug?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Application'][]
          }
        }
      }
    }
  }
  'post-applications': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "slug": "shop",
         *       "name": "The shop"
         *     }
         */
        'application/json': {
          slug: string
          name?: string
          /** Format: uuid */
          organisation?: string
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Application']
        }
      }
    }
  }
  'get-applications-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Application']
        }
      }
    }
  }
  'delete-applications-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is done. */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  'patch-applications-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "name": "The new shop"
         *     }
         */
        'application/json': {
          slug?: string
          name?: string
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Application']
        }
      }
    }
  }
  'get-environments': {
    parameters: {
      query?: {
        application?: string
        slug?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Environment'][]
          }
        }
      }
    }
  }
  'post-environments': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "application": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a01",
         *       "slug": "live",
         *       "timezone": "Europe/Zurich"
         *     }
         */
        'application/json': {
          /** Format: uuid */
          application: string
          slug: string
          plan?: string | null
          store?: string | null
          timezone?: string
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Environment']
        }
      }
    }
  }
  'get-environments-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Environment']
        }
      }
    }
  }
  'delete-environments-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is done. */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  'patch-environments-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "timezone": "Europe/Berlin"
         *     }
         */
        'application/json': {
          slug?: string
          plan?: string | null
          store?: string | null
          timezone?: string
          confirm?: string
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Environment']
        }
      }
    }
  }
  'post-environments-uuid-resume-pruning': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Environment']
        }
      }
    }
  }
  'get-environments-uuid-latest': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Latest']
        }
      }
    }
  }
  'get-service-instances': {
    parameters: {
      query?: {
        environment?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['ServiceInstance'][]
          }
        }
      }
    }
  }
  'post-service-instances': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "environment": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a02",
         *       "type": "DATABASE",
         *       "prefix": "DEFAULT",
         *       "connection": {
         *         "url": "postgres://shop:secret@db.example.com:5432/shop"
         *       }
         *     }
         */
        'application/json': {
          /** Format: uuid */
          environment: string
          /** @enum {string} */
          type: 'DATABASE' | 'STORAGE'
          /** @default DEFAULT */
          prefix?: string
          connection: {
            url: string
          }
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['ServiceInstance']
        }
      }
    }
  }
  'get-service-instances-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['ServiceInstance']
        }
      }
    }
  }
  'delete-service-instances-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is done. */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  'patch-service-instances-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "prefix": "MAIN"
         *     }
         */
        'application/json': {
          prefix?: string
          connection?: {
            url: string
          }
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['ServiceInstance']
        }
      }
    }
  }
  'get-stores': {
    parameters: {
      query?: {
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Store'][]
          }
        }
      }
    }
  }
  'post-stores': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "name": "cold",
         *       "url": "s3://backups?endpoint=https://s3.example.com&region=eu"
         *     }
         */
        'application/json': {
          name: string
          url: string
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Store']
        }
      }
    }
  }
  'post-stores-uuid-check': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['StoreCheck']
        }
      }
    }
  }
  'post-catalog-rebuild': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "store": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a06"
         *     }
         */
        'application/json': {
          /** Format: uuid */
          store: string
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Rebuild']
        }
      }
    }
  }
  'post-backups-uuid-accept': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'get-keys': {
    parameters: {
      query?: {
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Key'][]
            /** @description backups that no running server can open */
            unreadable_backups: number
          }
        }
      }
    }
  }
  'post-keys': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "recipient": "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z",
         *       "name": "safe in the office",
         *       "accept_unreadable": true
         *     }
         */
        'application/json': {
          recipient: string
          name: string
          /** @default false */
          accept_unreadable?: boolean
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Key']
        }
      }
    }
  }
  'post-keys-recipient-retire': {
    parameters: {
      query?: never
      header?: never
      path: {
        recipient: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "accept_unreadable": true
         *     }
         */
        'application/json': {
          /** @default false */
          accept_unreadable?: boolean
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Key']
        }
      }
    }
  }
  'get-keys-recipient-backups': {
    parameters: {
      query?: {
        page?: number
        page_size?: number
      }
      header?: never
      path: {
        recipient: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['ReadableBackup'][]
          }
        }
      }
    }
  }
  'get-plans': {
    parameters: {
      query?: {
        slug?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Plan'][]
          }
        }
      }
    }
  }
  'post-plans': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "slug": "nightly",
         *       "name": "Every night",
         *       "schedules": [
         *         {
         *           "name": "night",
         *           "kind": "daily",
         *           "from": "01:00",
         *           "until": "05:00"
         *         }
         *       ],
         *       "retention": {
         *         "scheduled": {
         *           "tiers": [
         *             {
         *               "label": "daily",
         *               "per": "day",
         *               "keep": 14
         *             }
         *           ]
         *         },
         *         "on_demand": {
         *           "keep_days": 30,
         *           "keep_newest": 3
         *         },
         *         "safety": {
         *           "keep_days": 7,
         *           "keep_newest": 1
         *         }
         *       }
         *     }
         */
        'application/json': {
          slug: string
          name?: string
          /** @default [] */
          schedules?: (
            | {
                name: string
                /** @constant */
                kind: 'cron'
                cron: string
              }
            | {
                name: string
                /** @constant */
                kind: 'daily'
                from: string
                until: string
              }
            | {
                name: string
                /** @constant */
                kind: 'weekly'
                /** @enum {string} */
                day: 'sunday' | 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday'
                from: string
                until: string
              }
          )[]
          /**
           * @default {
           *       "scheduled": {
           *         "tiers": [
           *           {
           *             "label": "daily",
           *             "per": "day",
           *             "keep": 7
           *           },
           *           {
           *             "label": "weekly",
           *             "per": "week",
           *             "keep": 4
           *           },
           *           {
           *             "label": "monthly",
           *             "per": "month",
           *             "keep": 12
           *           }
           *         ]
           *       },
           *       "on_demand": {
           *         "keep_days": 30,
           *         "keep_newest": 3
           *       },
           *       "safety": {
           *         "keep_days": 7,
           *         "keep_newest": 1
           *       }
           *     }
           */
          retention?: {
            scheduled: {
              tiers: {
                label: string
                /** @enum {string} */
                per: 'hour' | 'day' | 'week' | 'month' | 'year'
                keep: number
              }[]
            }
            on_demand: {
              keep_days: number
              keep_newest: number
            }
            safety: {
              keep_days: number
              keep_newest: number
            }
          }
          /**
           * @default {
           *       "metadata": {
           *         "every_days": 1
           *       },
           *       "checksum": {
           *         "every_days": 30,
           *         "most_per_day": 20
           *       },
           *       "drill": {
           *         "every_days": 7
           *       }
           *     }
           */
          verification?: {
            metadata: {
              every_days: number
            } | null
            checksum: {
              every_days: number
              most_per_day: number
            } | null
            drill: {
              every_days: number
            } | null
          }
          expected_within_hours?: number | null
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Plan']
        }
      }
    }
  }
  'get-plans-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Plan']
        }
      }
    }
  }
  'delete-plans-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is done. */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  'patch-plans-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "expected_within_hours": 26
         *     }
         */
        'application/json': {
          name?: string
          schedules?: (
            | {
                name: string
                /** @constant */
                kind: 'cron'
                cron: string
              }
            | {
                name: string
                /** @constant */
                kind: 'daily'
                from: string
                until: string
              }
            | {
                name: string
                /** @constant */
                kind: 'weekly'
                /** @enum {string} */
                day: 'sunday' | 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday'
                from: string
                until: string
              }
          )[]
          retention?: {
            scheduled: {
              tiers: {
                label: string
                /** @enum {string} */
                per: 'hour' | 'day' | 'week' | 'month' | 'year'
                keep: number
              }[]
            }
            on_demand: {
              keep_days: number
              keep_newest: number
            }
            safety: {
              keep_days: number
              keep_newest: number
            }
          }
          verification?: {
            metadata: {
              every_days: number
            } | null
            checksum: {
              every_days: number
              most_per_day: number
            } | null
            drill: {
              every_days: number
            } | null
          }
          expected_within_hours?: (number | null) | null
          confirm?: string
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Plan']
        }
      }
    }
  }
  'get-schedules': {
    parameters: {
      query?: {
        environment?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Schedule'][]
          }
        }
      }
    }
  }
  'get-retention-preview': {
    parameters: {
      query: {
        environment: string
        plan?: string
        days?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['RetentionPreview']
        }
      }
    }
  }
  'post-backups-upload': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "environment": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a02",
         *       "services": [
         *         "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a03"
         *       ],
         *       "notes": "from the old server"
         *     }
         */
        'application/json': {
          /** Format: uuid */
          environment: string
          services: string[]
          /** @default  */
          notes?: string
          scheduled_for_deletion_at?: string | null
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Upload']
        }
      }
    }
  }
  'get-backups': {
    parameters: {
      query?: {
        environment?: string
        state?: 'QUEUED' | 'RUNNING' | 'SEALING' | 'COMPLETED' | 'DELETING' | 'DELETED'
        success?: 'SUCCESS' | 'PARTIAL' | 'FAILURE' | 'CANCELLED'
        trigger?: 'MANUAL' | 'SCHEDULED' | 'UPLOAD' | 'PRE_RESTORE'
        created_after?: string
        created_before?: string
        label?: string
        service_type?: 'DATABASE' | 'STORAGE'
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Backup'][]
          }
        }
      }
    }
  }
  'post-backups': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "environment": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a02",
         *       "notes": "before the update"
         *     }
         */
        'application/json': {
          /** Format: uuid */
          environment: string
          services?: string[]
          /**
           * @default MANUAL
           * @constant
           */
          trigger?: 'MANUAL'
          /** @default  */
          notes?: string
          scheduled_for_deletion_at?: string | null
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'get-backups-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'patch-backups-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "notes": "before the big update"
         *     }
         */
        'application/json': {
          notes?: string
          scheduled_for_deletion_at?: string | null
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'post-backups-uuid-retry': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'post-backups-uuid-cancel': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'post-backups-uuid-hold': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "reason": "evidence"
         *     }
         */
        'application/json': {
          reason: string
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'post-backups-uuid-release': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'post-backups-uuid-acknowledge': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'post-backups-uuid-delete': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "reason": "a test",
         *       "force": true
         *     }
         */
        'application/json': {
          reason: string
          /** @default false */
          force?: boolean
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'post-backups-uuid-undelete': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Backup']
        }
      }
    }
  }
  'get-service-instance-backups': {
    parameters: {
      query?: {
        backup?: string
        environment?: string
        service_instance?: string
        state?: 'QUEUED' | 'RUNNING' | 'SEALING' | 'COMPLETED' | 'DELETING' | 'DELETED'
        success?: 'SUCCESS' | 'PARTIAL' | 'FAILURE' | 'CANCELLED'
        trigger?: 'MANUAL' | 'SCHEDULED' | 'UPLOAD' | 'PRE_RESTORE'
        created_after?: string
        created_before?: string
        label?: string
        service_type?: 'DATABASE' | 'STORAGE'
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['ServiceInstanceBackup'][]
          }
        }
      }
    }
  }
  'get-service-instance-backups-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['ServiceInstanceBackup']
        }
      }
    }
  }
  'post-backup-downloads': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "backup": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a04"
         *     }
         */
        'application/json': {
          /** Format: uuid */
          backup: string
          service_instance_backups?: string[]
          /**
           * @default MANUAL
           * @constant
           */
          trigger?: 'MANUAL'
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Download']
        }
      }
    }
  }
  'delete-backup-downloads-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is done. */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  'get-backup-download-service-instances': {
    parameters: {
      query?: {
        backup?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['DownloadItem'][]
          }
        }
      }
    }
  }
  'get-backup-download-service-instances-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['DownloadItem']
        }
      }
    }
  }
  'get-backup-restores': {
    parameters: {
      query?: {
        backup?: string
        environment?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Restore'][]
          }
        }
      }
    }
  }
  'post-backup-restores': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "backup": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a04",
         *       "service_instance_restores": [
         *         {
         *           "service_instance_backup": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a05"
         *         }
         *       ],
         *       "confirm": "shop/live",
         *       "notes": "undo the update"
         *     }
         */
        'application/json': {
          /** Format: uuid */
          backup: string
          service_instance_restores: {
            /** Format: uuid */
            service_instance_backup: string
            /** Format: uuid */
            service_instance?: string
            selection?: {
              /** @default [] */
              schemas?: string[]
              /** @default [] */
              tables?: string[]
              /** @default [] */
              paths?: string[]
            }
          }[]
          /** @default  */
          notes?: string
          confirm?: string
          /** @default true */
          safety_backup?: boolean
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Restore']
        }
      }
    }
  }
  'get-backup-restores-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Restore']
        }
      }
    }
  }
  'post-backup-restores-uuid-cancel': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Restore']
        }
      }
    }
  }
  'post-backup-restores-uuid-confirm': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Restore']
        }
      }
    }
  }
  'post-backup-restores-uuid-undo': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Restore']
        }
      }
    }
  }
  'get-verifications': {
    parameters: {
      query?: {
        service_instance_backup?: string
        environment?: string
        level?: 'metadata' | 'checksum' | 'drill'
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Verification'][]
          }
        }
      }
    }
  }
  'post-verifications': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "service_instance_backup": "6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a05",
         *       "level": "checksum"
         *     }
         */
        'application/json': {
          /** Format: uuid */
          service_instance_backup?: string
          /** Format: uuid */
          backup?: string
          /** Format: uuid */
          environment?: string
          /**
           * @default checksum
           * @enum {string}
           */
          level?: 'metadata' | 'checksum' | 'drill'
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['RequestedVerifications']
        }
      }
    }
  }
  'get-verifications-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Verification']
        }
      }
    }
  }
  'get-backups-uuid-events': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description Server-sent events `progress` and, last, `end`; the data of each is JSON like this. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'text/event-stream': string
        }
      }
    }
  }
  'get-backup-restores-uuid-events': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description Server-sent events `progress` and, last, `end`; the data of each is JSON like this. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'text/event-stream': string
        }
      }
    }
  }
  'get-status': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Status']
        }
      }
    }
  }
  'get-organisations': {
    parameters: {
      query?: {
        slug?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Organisation'][]
          }
        }
      }
    }
  }
  'post-organisations': {
    parameters: {
      query?: never
      header?: {
        /** @description Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer. */
        'Idempotency-Key'?: components['parameters']['IdempotencyKey']
      }
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "slug": "acme",
         *       "name": "Acme",
         *       "media_roots": []
         *     }
         */
        'application/json': {
          slug: string
          name?: string
          /** @default [] */
          media_roots?: string[] | null
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          /** @description `true`: this is the answer to an earlier request with the same Idempotency-Key */
          'Idempotency-Replayed'?: 'true'
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Organisation']
        }
      }
    }
  }
  'get-organisations-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Organisation']
        }
      }
    }
  }
  'patch-organisations-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "name": "Acme Ltd"
         *     }
         */
        'application/json': {
          slug?: string
          name?: string
          media_roots?: string[] | null
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Organisation']
        }
      }
    }
  }
  'get-tokens': {
    parameters: {
      query?: {
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Token'][]
          }
        }
      }
    }
  }
  'post-tokens': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "name": "nightly job",
         *       "role": "operator"
         *     }
         */
        'application/json': {
          name: string
          /** @enum {string} */
          role: 'viewer' | 'operator' | 'admin'
          organisation?: string | null
          expires_at?: string | null
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['MadeToken']
        }
      }
    }
  }
  'get-tokens-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Token']
        }
      }
    }
  }
  'delete-tokens-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is done. */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  'get-audit': {
    parameters: {
      query?: {
        actor?: string
        action?: string
        target?: string
        since?: string
        until?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['AuditLine'][]
          }
        }
      }
    }
  }
  'get-notification-sinks': {
    parameters: {
      query?: {
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Sink'][]
          }
        }
      }
    }
  }
  'post-notification-sinks': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        /**
         * @example {
         *       "name": "chat",
         *       "type": "webhook",
         *       "format": "slack",
         *       "url": "https://chat.example.com/hook"
         *     }
         */
        'application/json': {
          name: string
          /** @enum {string} */
          type: 'webhook' | 'email' | 'heartbeat'
          organisation?: string | null
          /** @enum {string} */
          format?: 'coffer' | 'slack'
          url?: string
          to?: string[]
          environments?: string[] | null
          /** @default null */
          kinds?:
            | (
                | 'backup.started'
                | 'backup.success'
                | 'backup.partial'
                | 'backup.failure'
                | 'backup.recovered'
                | 'overdue.raised'
                | 'overdue.resolved'
                | 'missed.raised'
                | 'missed.resolved'
                | 'suspect.raised'
                | 'suspect.resolved'
                | 'lost.raised'
                | 'lost.resolved'
                | 'corrupt.raised'
                | 'corrupt.resolved'
                | 'prune-stopped.raised'
                | 'prune-stopped.resolved'
                | 'prune-failed.raised'
                | 'prune-failed.resolved'
                | 'verify-unreadable.raised'
                | 'verify-unreadable.resolved'
                | 'verify-failed.raised'
                | 'verify-failed.resolved'
                | 'verify-overdue.raised'
                | 'verify-overdue.resolved'
                | 'drill-failed.raised'
                | 'drill-failed.resolved'
                | 'drill-overdue.raised'
                | 'drill-overdue.resolved'
                | 'restore-unfinished.raised'
                | 'restore-unfinished.resolved'
                | 'keys.raised'
                | 'keys.resolved'
                | 'workers-down.raised'
                | 'workers-down.resolved'
                | 'notify-failed.raised'
                | 'notify-failed.resolved'
              )[]
            | null
        }
      }
    }
    responses: {
      /** @description It is made. */
      201: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['MadeSink']
        }
      }
    }
  }
  'get-notification-sinks-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Sink']
        }
      }
    }
  }
  'delete-notification-sinks-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is done. */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  'patch-notification-sinks-uuid': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /**
         * @example {
         *       "kinds": [
         *         "backup.failure",
         *         "overdue.raised"
         *       ]
         *     }
         */
        'application/json': {
          name?: string
          url?: string
          to?: string[]
          environments?: string[] | null
          kinds?:
            | (
                | 'backup.started'
                | 'backup.success'
                | 'backup.partial'
                | 'backup.failure'
                | 'backup.recovered'
                | 'overdue.raised'
                | 'overdue.resolved'
                | 'missed.raised'
                | 'missed.resolved'
                | 'suspect.raised'
                | 'suspect.resolved'
                | 'lost.raised'
                | 'lost.resolved'
                | 'corrupt.raised'
                | 'corrupt.resolved'
                | 'prune-stopped.raised'
                | 'prune-stopped.resolved'
                | 'prune-failed.raised'
                | 'prune-failed.resolved'
                | 'verify-unreadable.raised'
                | 'verify-unreadable.resolved'
                | 'verify-failed.raised'
                | 'verify-failed.resolved'
                | 'verify-overdue.raised'
                | 'verify-overdue.resolved'
                | 'drill-failed.raised'
                | 'drill-failed.resolved'
                | 'drill-overdue.raised'
                | 'drill-overdue.resolved'
                | 'restore-unfinished.raised'
                | 'restore-unfinished.resolved'
                | 'keys.raised'
                | 'keys.resolved'
                | 'workers-down.raised'
                | 'workers-down.resolved'
                | 'notify-failed.raised'
                | 'notify-failed.resolved'
              )[]
            | null
        }
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['MadeSink']
        }
      }
    }
  }
  'post-notification-sinks-uuid-test': {
    parameters: {
      query?: never
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        /** @example {} */
        'application/json': Record<string, never>
      }
    }
    responses: {
      /** @description As asked. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['TestedSink']
        }
      }
    }
  }
  'get-events': {
    parameters: {
      query?: {
        environment?: string
        backup?: string
        kind?: string
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Event'][]
          }
        }
      }
    }
  }
  'get-notification-deliveries': {
    parameters: {
      query?: {
        sink?: string
        event?: string
        state?: 'QUEUED' | 'DELIVERED' | 'GAVE_UP'
        page?: number
        page_size?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of the list. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            count: number
            /** @description the address of that page */
            next: string | null
            /** @description the address of that page */
            previous: string | null
            results: components['schemas']['Delivery'][]
          }
        }
      }
    }
  }
  'get-downloads-uuid-form': {
    parameters: {
      query: {
        expires: string
        signature: string
      }
      header?: never
      path: {
        uuid: string
        form: 'plain' | 'stored' | 'bundle'
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description All of it. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/octet-stream': string
        }
      }
      /** @description The range that was asked for; of the stored form only. */
      206: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/octet-stream': string
        }
      }
    }
  }
  'put-uploads-uuid-content': {
    parameters: {
      query: {
        signature: string
      }
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody: {
      content: {
        'application/octet-stream': string
      }
    }
    responses: {
      /** @description It is stored. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            size: number
            sha256: string
          }
        }
      }
    }
  }
  'post-uploads-uuid-finish': {
    parameters: {
      query: {
        signature: string
      }
      header?: never
      path: {
        uuid: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It is checked next. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            uuid: string
            /** @constant */
            state: 'QUEUED'
          }
        }
      }
    }
  }
  'get-metrics': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description In the text format of Prometheus. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'text/plain': string
        }
      }
    }
  }
  'get-healthz': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It does. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            /** @constant */
            status: 'ok'
          }
        }
      }
    }
  }
  'get-readyz': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description It does. */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            status: string
            checks: {
              name: string
              ok: boolean
              reason: string | null
            }[]
          }
        }
      }
    }
  }
}
