// Made by `make dashboard-types` from what the server says of its API. Not written by hand.

import "@/api/withoutEval";

import { z } from "zod";

export const Quota = z.object({
  tenant: z.string(),
  limit: z.string(),
  used: z.number(),
  max: z.number(),
});
export type Quota = z.infer<typeof Quota>;

export const TenantLetters = z.object({
  tenant: z.string(),
  dead_letters: z.number(),
});
export type TenantLetters = z.infer<typeof TenantLetters>;

export const Troubled = z.object({
  tenant: z.string(),
  name: z.string(),
  trouble: z.string(),
  lag: z.number(),
  grown_count: z.number().nullable(),
  grown_in_s: z.number().nullable(),
  subscriber_count: z.number(),
  pending_retry_count: z.number(),
});
export type Troubled = z.infer<typeof Troubled>;

export const Attentive = z.object({
  subscriptions: z.array(Troubled),
  counts: z.record(z.string(), z.number()),
  quotas: z.array(Quota),
  dead_letters: z.number(),
  dead_letters_by_tenant: z.array(TenantLetters),
  more_dead_tenants: z.number(),
  age_s: z.number().nullable(),
  is_fresh: z.boolean(),
  unanswered_count: z.number(),
  nodes: z.array(z.string()).optional(),
  unanswered: z.array(z.string()).optional(),
});
export type Attentive = z.infer<typeof Attentive>;

export const AuditAnswer = z.object({
  id: z.string(),
  at: z.string(),
  tenant: z.string(),
  actor: z.string(),
  action: z.string(),
  target: z.string(),
  address: z.string(),
  request_id: z.string(),
  detail: z.record(z.string(), z.unknown()),
});
export type AuditAnswer = z.infer<typeof AuditAnswer>;

export const AuditList = z.object({
  entries: z.array(AuditAnswer),
  next: z.string().nullable(),
});
export type AuditList = z.infer<typeof AuditList>;

export const Receipt = z.object({
  message_id: z.string(),
  topic: z.string(),
  subscribers: z.number(),
  published_at: z.string(),
  seq: z.number(),
  epoch: z.string(),
  durable: z.boolean(),
  duplicate: z.boolean(),
});
export type Receipt = z.infer<typeof Receipt>;

export const BatchAnswer = z.object({
  results: z.array(Receipt),
});
export type BatchAnswer = z.infer<typeof BatchAnswer>;

export const Grant = z.object({
  scope: z.enum(["admin", "manage", "publish", "subscribe"]),
  topics: z.array(z.string()).nullable().optional(),
  subscriptions: z.array(z.string()).nullable().optional(),
});
export type Grant = z.infer<typeof Grant>;

export const LimitsChange = z.object({
  publishes_per_s: z.number().nullable().optional(),
  publish_bytes_per_s: z.number().nullable().optional(),
  deliveries_per_s: z.number().nullable().optional(),
  connections: z.number().nullable().optional(),
  subscriptions: z.number().nullable().optional(),
  topics: z.number().nullable().optional(),
  stored_bytes: z.number().nullable().optional(),
  message_bytes: z.number().nullable().optional(),
  dead_letters: z.number().nullable().optional(),
  pending_retries: z.number().nullable().optional(),
});
export type LimitsChange = z.infer<typeof LimitsChange>;

export const ChangedKey = z.object({
  name: z.string().nullable().optional(),
  scopes: z.array(Grant).nullable().optional(),
  expires_at: z.string().nullable().optional(),
  limits: LimitsChange.optional(),
});
export type ChangedKey = z.infer<typeof ChangedKey>;

export const ChangedTenant = z.object({
  limits: LimitsChange,
});
export type ChangedTenant = z.infer<typeof ChangedTenant>;

export const RegistryHealth = z.object({
  status: z.enum(["degraded", "ok"]),
  detail: z.string(),
  trouble: z.string().nullable(),
  answer_age_s: z.number().nullable(),
});
export type RegistryHealth = z.infer<typeof RegistryHealth>;

export const ClusterHealth = z.object({
  log: z.enum(["own", "shared"]),
  recovery: z.boolean(),
  detail: z.string(),
  nodes: z.number(),
  links: z.number(),
  registry: RegistryHealth.optional(),
});
export type ClusterHealth = z.infer<typeof ClusterHealth>;

export const DeadLetterAnswer = z.object({
  id: z.string(),
  message_id: z.string().nullable(),
  topic: z.string(),
  seq: z.number(),
  subscription: z.string().nullable(),
  attempts: z.number(),
  reason: z.string(),
  died_at: z.string(),
  redriven_at: z.string().nullable(),
  published_at: z.string().nullable(),
  payload: z.unknown(),
  payload_lost: z.boolean().optional(),
  key: z.string().optional(),
  headers: z.unknown().optional(),
});
export type DeadLetterAnswer = z.infer<typeof DeadLetterAnswer>;

export const DeadLetterGroup = z.object({
  topic: z.string(),
  reason: z.string(),
  count: z.number(),
  redriven_count: z.number(),
  first_died_at: z.string(),
  last_died_at: z.string(),
  sample_id: z.string(),
});
export type DeadLetterGroup = z.infer<typeof DeadLetterGroup>;

export const DeadLetterGroups = z.object({
  groups: z.array(DeadLetterGroup),
  next: z.string().nullable(),
  searched_to: z.string().nullable().optional(),
});
export type DeadLetterGroups = z.infer<typeof DeadLetterGroups>;

export const DeadLetterList = z.object({
  dead_letters: z.array(DeadLetterAnswer),
  next: z.string().nullable(),
  searched_to: z.string().optional(),
});
export type DeadLetterList = z.infer<typeof DeadLetterList>;

export const DeliveryAnswer = z.object({
  subscription: z.string(),
  state: z.string(),
  attempts: z.number(),
  last_reason: z.string().nullable(),
  next_attempt_at: z.string().nullable(),
  died_at: z.string().nullable(),
  redriven_at: z.string().nullable(),
});
export type DeliveryAnswer = z.infer<typeof DeliveryAnswer>;

export const Discard = z.object({
  topic: z.string().nullable().optional(),
  subscription: z.string().nullable().optional(),
  reason: z.string().nullable().optional(),
  from_time: z.string().nullable().optional(),
  to_time: z.string().nullable().optional(),
  q: z.string().nullable().optional(),
  ids: z.array(z.string()).nullable().optional(),
  redriven: z.boolean().nullable().optional(),
  rate_per_s: z.number().default(1000.0),
  max_count: z.number().default(100000),
  dry_run: z.boolean().default(false),
});
export type Discard = z.infer<typeof Discard>;

export const Exposure = z.object({
  enabled: z.boolean(),
  open_to: z.enum(["loopback", "network"]).optional(),
  pages: z.enum(["any", "named"]).optional(),
});
export type Exposure = z.infer<typeof Exposure>;

export const GapAnswer = z.object({
  topic: z.string(),
  from_seq: z.number(),
  to_seq: z.number().nullable(),
  reason: z.string(),
  epoch: z.string(),
  was_published: z.boolean().optional(),
});
export type GapAnswer = z.infer<typeof GapAnswer>;

export const NotReady = z.object({
  code: z.string(),
  detail: z.string(),
});
export type NotReady = z.infer<typeof NotReady>;

export const Health = z.object({
  status: z.enum(["ok"]),
  version: z.string().optional(),
  node_id: z.string().optional(),
  ready: z.boolean().optional(),
  not_ready: NotReady.optional(),
  phase: z.string().optional(),
  store: z.record(z.string(), z.unknown()).optional(),
  auth: Exposure.optional(),
  cluster: ClusterHealth.optional(),
});
export type Health = z.infer<typeof Health>;

export const SampleAnswer = z.object({
  at: z.string(),
  messages_per_sec: z.number(),
  deliveries_per_sec: z.number(),
  acks_per_sec: z.number(),
  redeliveries_per_sec: z.number(),
  dead_letters_per_sec: z.number(),
  backlog: z.number(),
  active_subscribers: z.number(),
  active_topics: z.number(),
  connections: z.number(),
  node_count: z.number(),
  publish_p50_ms: z.number().nullable(),
  publish_p99_ms: z.number().nullable(),
  delivery_p50_ms: z.number().nullable(),
  delivery_p99_ms: z.number().nullable(),
});
export type SampleAnswer = z.infer<typeof SampleAnswer>;

export const History = z.object({
  interval_s: z.number(),
  samples: z.array(SampleAnswer),
  unanswered_count: z.number(),
  nodes: z.array(z.string()).optional(),
  unanswered: z.array(z.string()).optional(),
});
export type History = z.infer<typeof History>;

export const Index = z.object({
  name: z.string().default("Conduit"),
  about: z.string().default("real-time event delivery: publish over HTTP or WebSocket, subscribe over WebSocket"),
  version: z.string().optional(),
  dashboard: z.string().default("/ui/"),
  docs: z.string().default("/docs"),
  openapi: z.string().default("/openapi.json"),
  publish: z.string().default("/api/publish"),
  websocket: z.string().default("/ws"),
  health: z.string().default("/health"),
  ready: z.string().default("/health/ready"),
  metrics: z.string().default("/metrics"),
});
export type Index = z.infer<typeof Index>;

export const LettersMeant = z.object({
  topic: z.string().nullable().optional(),
  subscription: z.string().nullable().optional(),
  reason: z.string().nullable().optional(),
  from_time: z.string().nullable().optional(),
  to_time: z.string().nullable().optional(),
  q: z.string().nullable().optional(),
  redriven: z.boolean().nullable().optional(),
  ids_count: z.number().nullable().optional(),
});
export type LettersMeant = z.infer<typeof LettersMeant>;

export const JobAnswer = z.object({
  id: z.string().nullable(),
  action: z.string(),
  state: z.string(),
  matched_count: z.number(),
  redriven_count: z.number(),
  discarded_count: z.number(),
  failed_count: z.number(),
  rate_per_s: z.number(),
  max_count: z.number(),
  started_at: z.string().nullable(),
  finished_at: z.string().nullable(),
  error: z.string().nullable(),
  which: LettersMeant.optional(),
  node: z.string().nullable().optional(),
});
export type JobAnswer = z.infer<typeof JobAnswer>;

export const JobList = z.object({
  jobs: z.array(JobAnswer),
  unanswered_count: z.number(),
  nodes: z.array(z.string()).optional(),
  unanswered: z.array(z.string()).optional(),
});
export type JobList = z.infer<typeof JobList>;

export const TenantLimits = z.object({
  publishes_per_s: z.number().nullable().optional(),
  publish_bytes_per_s: z.number().nullable().optional(),
  deliveries_per_s: z.number().nullable().optional(),
  connections: z.number().nullable().optional(),
  subscriptions: z.number().nullable().optional(),
  topics: z.number().nullable().optional(),
  stored_bytes: z.number().nullable().optional(),
  message_bytes: z.number().nullable().optional(),
  dead_letters: z.number().nullable().optional(),
  pending_retries: z.number().nullable().optional(),
});
export type TenantLimits = z.infer<typeof TenantLimits>;

export const KeyAnswer = z.object({
  id: z.string(),
  name: z.string(),
  tenant: z.string(),
  scopes: z.array(Grant),
  limits: TenantLimits,
  created_at: z.string(),
  created_by: z.string(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
  rotating_until: z.string().nullable(),
});
export type KeyAnswer = z.infer<typeof KeyAnswer>;

export const KeyCreated = z.object({
  id: z.string(),
  name: z.string(),
  tenant: z.string(),
  scopes: z.array(Grant),
  limits: TenantLimits,
  created_at: z.string(),
  created_by: z.string(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
  rotating_until: z.string().nullable(),
  key: z.string(),
});
export type KeyCreated = z.infer<typeof KeyCreated>;

export const KeyList = z.object({
  keys: z.array(KeyAnswer),
  next: z.string().nullable(),
});
export type KeyList = z.infer<typeof KeyList>;

export const MessageAnswer = z.object({
  message_id: z.string(),
  topic: z.string(),
  seq: z.number(),
  published_at: z.string(),
  payload: z.unknown(),
  key: z.string().optional(),
  headers: z.unknown().optional(),
});
export type MessageAnswer = z.infer<typeof MessageAnswer>;

export const MessageDetail = z.object({
  message_id: z.string(),
  topic: z.string(),
  seq: z.number(),
  published_at: z.string(),
  payload: z.unknown(),
  key: z.string().optional(),
  headers: z.unknown().optional(),
  deliveries: z.array(DeliveryAnswer),
  next: z.string().nullable(),
});
export type MessageDetail = z.infer<typeof MessageDetail>;

export const MessageList = z.object({
  messages: z.array(MessageAnswer),
  next: z.number().nullable(),
  scanned_to: z.number().optional(),
});
export type MessageList = z.infer<typeof MessageList>;

export const TopicMove = z.object({
  topic: z.string(),
  floor: z.number(),
  last_seq: z.number(),
  lag: z.number(),
  floor_before: z.number().nullable().optional(),
  again_count: z.number().nullable().optional(),
  skipped_count: z.number().nullable().optional(),
  next_before_seq: z.number().nullable().optional(),
  next_before_at: z.string().nullable().optional(),
  next_before_is: z.enum(["not_published", "removed", "stored"]).nullable().optional(),
  next_seq: z.number().nullable().optional(),
  next_at: z.string().nullable().optional(),
  next_is: z.enum(["not_published", "removed", "stored"]).nullable().optional(),
});
export type TopicMove = z.infer<typeof TopicMove>;

export const Moved = z.object({
  topics: z.array(TopicMove),
  more_topics: z.boolean(),
  lag: z.number(),
  dry_run: z.boolean(),
  gaps: z.array(GapAnswer).optional(),
  more_gaps: z.boolean().default(false),
  again_count: z.number().nullable().optional(),
  skipped_count: z.number().nullable().optional(),
  dead_again_count: z.number().nullable().optional(),
});
export type Moved = z.infer<typeof Moved>;

export const NewKey = z.object({
  name: z.string(),
  scopes: z.array(Grant),
  expires_at: z.string().nullable().optional(),
  ttl_s: z.number().nullable().optional(),
  limits: LimitsChange.optional(),
});
export type NewKey = z.infer<typeof NewKey>;

export const NewSession = z.object({
  path: z.string().default("/"),
});
export type NewSession = z.infer<typeof NewSession>;

export const StartPosition = z.object({
  seq: z.number(),
  epoch: z.string().nullable().optional(),
});
export type StartPosition = z.infer<typeof StartPosition>;

export const StartAt = z.object({
  seq: z.number().nullable().optional(),
  epoch: z.string().nullable().optional(),
  time: z.string().nullable().optional(),
  positions: z.record(z.string(), StartPosition).nullable().optional(),
});
export type StartAt = z.infer<typeof StartAt>;

export const Start = z.union([z.enum(["earliest", "new"]), StartAt]);
export type Start = z.infer<typeof Start>;

export const NewSubscription = z.object({
  max_in_flight: z.number().default(256),
  ack_wait_ms: z.number().default(30000),
  max_ack_wait_ms: z.number().default(60000),
  max_attempts: z.number().default(5),
  max_lost: z.number().nullable().default(20),
  name: z.string(),
  topic: z.string(),
  ack: z.enum(["explicit", "auto"]).default("explicit"),
  order: z.enum(["publish", "strict"]).default("publish"),
  start: Start.nullable().optional(),
});
export type NewSubscription = z.infer<typeof NewSubscription>;

export const NewTenant = z.object({
  name: z.string(),
  limits: LimitsChange.optional(),
});
export type NewTenant = z.infer<typeof NewTenant>;

export const NewTicket = z.object({
});
export type NewTicket = z.infer<typeof NewTicket>;

export const NewToken = z.object({
  scopes: z.array(Grant),
  ttl_s: z.number().nullable().optional(),
  subject: z.string().nullable().optional(),
});
export type NewToken = z.infer<typeof NewToken>;

export const RetentionBody = z.object({
  max_age_s: z.number().nullable().optional(),
  max_messages: z.number().nullable().optional(),
  max_bytes: z.number().nullable().optional(),
});
export type RetentionBody = z.infer<typeof RetentionBody>;

export const NewTopic = z.object({
  name: z.string(),
  retention: RetentionBody.optional(),
});
export type NewTopic = z.infer<typeof NewTopic>;

export const NodeLink = z.object({
  id: z.string(),
  state: z.string(),
  for_s: z.number(),
  round_trip_s: z.number().nullable(),
  queue_bytes: z.number(),
  last_error: z.string().nullable(),
});
export type NodeLink = z.infer<typeof NodeLink>;

export const NodeRates = z.object({
  messages_per_sec: z.number(),
  deliveries_per_sec: z.number(),
  acks_per_sec: z.number(),
  redeliveries_per_sec: z.number(),
  dead_letters_per_sec: z.number(),
});
export type NodeRates = z.infer<typeof NodeRates>;

export const NodeAnswer = z.object({
  id: z.string(),
  incarnation: z.string(),
  address: z.string(),
  version: z.string(),
  state: z.string(),
  lease_age_s: z.number().nullable(),
  started_at: z.string(),
  is_this: z.boolean(),
  connections: z.number().nullable(),
  owned_subscriptions: z.number().nullable(),
  rates: NodeRates.nullable(),
  links: z.array(NodeLink).nullable(),
  unanswered: z.string().nullable().optional(),
  loop_lag_s: z.number().nullable().optional(),
  phase: z.string().nullable().optional(),
});
export type NodeAnswer = z.infer<typeof NodeAnswer>;

export const NodeDrain = z.object({
  id: z.string(),
  state: z.string(),
  phase: z.string(),
  connections: z.number(),
  owned_subscriptions: z.number(),
  problem: z.string().nullable(),
});
export type NodeDrain = z.infer<typeof NodeDrain>;

export const NodeList = z.object({
  nodes: z.array(NodeAnswer),
  next: z.string().nullable(),
});
export type NodeList = z.infer<typeof NodeList>;

export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  code: z.string(),
  detail: z.string(),
  error: z.string(),
  request_id: z.string(),
  field: z.string().nullable().optional(),
  limit: z.string().nullable().optional(),
});
export type Problem = z.infer<typeof Problem>;

export const PublishRequest = z.object({
  topic: z.string(),
  payload: z.unknown(),
  key: z.string().nullable().optional(),
  headers: z.record(z.string(), z.string()).nullable().optional(),
  idempotency_key: z.string().nullable().optional(),
});
export type PublishRequest = z.infer<typeof PublishRequest>;

export const PublishBatchRequest = z.object({
  messages: z.array(PublishRequest),
});
export type PublishBatchRequest = z.infer<typeof PublishBatchRequest>;

export const Purge = z.object({
  cursor: z.string().nullable().optional(),
  dry_run: z.boolean().default(false),
});
export type Purge = z.infer<typeof Purge>;

export const PurgeAnswer = z.object({
  matched_count: z.number(),
  purged_count: z.number(),
  through_seq: z.number(),
  next: z.string().nullable(),
});
export type PurgeAnswer = z.infer<typeof PurgeAnswer>;

export const Ready = z.object({
  status: z.enum(["ready"]),
});
export type Ready = z.infer<typeof Ready>;

export const Redrive = z.object({
  topic: z.string().nullable().optional(),
  subscription: z.string().nullable().optional(),
  reason: z.string().nullable().optional(),
  from_time: z.string().nullable().optional(),
  to_time: z.string().nullable().optional(),
  q: z.string().nullable().optional(),
  ids: z.array(z.string()).nullable().optional(),
  rate_per_s: z.number().default(100.0),
  max_count: z.number().default(100000),
  dry_run: z.boolean().default(false),
});
export type Redrive = z.infer<typeof Redrive>;

export const Retention = z.object({
  max_age_s: z.number().nullable().optional(),
  max_messages: z.number().nullable().optional(),
  max_bytes: z.number().nullable().optional(),
});
export type Retention = z.infer<typeof Retention>;

export const RingNode = z.object({
  id: z.string(),
  share: z.number(),
});
export type RingNode = z.infer<typeof RingNode>;

export const RingAnswer = z.object({
  nodes: z.array(RingNode),
  places: z.array(z.array(z.number())),
  size: z.number(),
  reason: z.string().nullable(),
});
export type RingAnswer = z.infer<typeof RingAnswer>;

export const Rotation = z.object({
  overlap_s: z.number().default(86400),
});
export type Rotation = z.infer<typeof Rotation>;

export const SubscriptionRoute = z.object({
  name: z.string(),
  exists: z.boolean(),
  node: z.string().nullable(),
  reason: z.string().nullable(),
});
export type SubscriptionRoute = z.infer<typeof SubscriptionRoute>;

export const TopicNode = z.object({
  id: z.string(),
  subscribers: z.number().nullable(),
});
export type TopicNode = z.infer<typeof TopicNode>;

export const TopicRoute = z.object({
  name: z.string(),
  exists: z.boolean(),
  by: z.string(),
  nodes: z.array(TopicNode),
});
export type TopicRoute = z.infer<typeof TopicRoute>;

export const RouteAnswer = z.object({
  subscription: SubscriptionRoute.nullable(),
  topic: TopicRoute.nullable(),
});
export type RouteAnswer = z.infer<typeof RouteAnswer>;

export const Seek = z.object({
  start: Start,
  dry_run: z.boolean().default(false),
});
export type Seek = z.infer<typeof Seek>;

export const SessionAnswer = z.object({
  ends_at: z.string(),
  idle_s: z.number(),
  id: z.string(),
});
export type SessionAnswer = z.infer<typeof SessionAnswer>;

export const StatsAnswer = z.object({
  messages_per_sec: z.number(),
  total_messages: z.number(),
  active_subscribers: z.number(),
  active_topics: z.number(),
  uptime_seconds: z.number(),
  deliveries_per_sec: z.number(),
  acks_per_sec: z.number(),
  redeliveries_per_sec: z.number(),
  dead_letters_per_sec: z.number(),
  backlog: z.number(),
  connections: z.number(),
  total_deliveries: z.number(),
  total_acks: z.number(),
  total_redeliveries: z.number(),
  total_dead_letters: z.number(),
  unanswered_count: z.number(),
  nodes: z.array(z.string()).optional(),
  unanswered: z.array(z.string()).optional(),
});
export type StatsAnswer = z.infer<typeof StatsAnswer>;

export const SubscriberAnswer = z.object({
  node: z.string().nullable(),
  in_flight_count: z.number(),
  max_in_flight: z.number().nullable(),
  is_reading: z.boolean(),
});
export type SubscriberAnswer = z.infer<typeof SubscriberAnswer>;

export const SubscribersAnswer = z.object({
  count: z.number(),
  by_node: z.record(z.string(), z.number()).nullable(),
  subscribers: z.array(SubscriberAnswer),
});
export type SubscribersAnswer = z.infer<typeof SubscribersAnswer>;

export const TopicProgress = z.object({
  topic: z.string(),
  floor: z.number(),
  last_seq: z.number(),
  lag: z.number(),
});
export type TopicProgress = z.infer<typeof TopicProgress>;

export const SubscriptionAnswer = z.object({
  name: z.string(),
  topic: z.string(),
  created_at: z.string(),
  paused: z.boolean(),
  ack: z.string(),
  order: z.string(),
  max_in_flight: z.number(),
  ack_wait_ms: z.number(),
  max_ack_wait_ms: z.number(),
  max_attempts: z.number(),
  max_lost: z.number().nullable(),
  subscribers: z.number(),
  in_flight_count: z.number(),
  pending_retry_count: z.number(),
  full: z.boolean(),
  dead_count: z.number(),
  redriven_count: z.number(),
  lag: z.number(),
  topics: z.array(TopicProgress),
  more_topics: z.boolean(),
});
export type SubscriptionAnswer = z.infer<typeof SubscriptionAnswer>;

export const SubscriptionChange = z.object({
  max_in_flight: z.number().default(256),
  ack_wait_ms: z.number().default(30000),
  max_ack_wait_ms: z.number().default(60000),
  max_attempts: z.number().default(5),
  max_lost: z.number().nullable().default(20),
});
export type SubscriptionChange = z.infer<typeof SubscriptionChange>;

export const SubscriptionCreated = z.object({
  name: z.string(),
  topic: z.string(),
  created_at: z.string(),
  paused: z.boolean(),
  ack: z.string(),
  order: z.string(),
  max_in_flight: z.number(),
  ack_wait_ms: z.number(),
  max_ack_wait_ms: z.number(),
  max_attempts: z.number(),
  max_lost: z.number().nullable(),
  subscribers: z.number(),
  in_flight_count: z.number(),
  pending_retry_count: z.number(),
  full: z.boolean(),
  dead_count: z.number(),
  redriven_count: z.number(),
  lag: z.number(),
  topics: z.array(TopicProgress),
  more_topics: z.boolean(),
  gaps: z.array(GapAnswer),
  more_gaps: z.boolean().default(false),
});
export type SubscriptionCreated = z.infer<typeof SubscriptionCreated>;

export const SubscriptionList = z.object({
  subscriptions: z.array(SubscriptionAnswer),
  next: z.string().nullable(),
});
export type SubscriptionList = z.infer<typeof SubscriptionList>;

export const SubscriptionTopics = z.object({
  topics: z.array(TopicProgress),
  next: z.string().nullable(),
});
export type SubscriptionTopics = z.infer<typeof SubscriptionTopics>;

export const Usage = z.object({
  topics: z.number(),
  subscriptions: z.number(),
  connections: z.number(),
  stored_bytes: z.number(),
  dead_letters: z.number(),
  pending_retries: z.number(),
  keys: z.number(),
  unanswered_count: z.number().default(0),
});
export type Usage = z.infer<typeof Usage>;

export const TenantAnswer = z.object({
  name: z.string(),
  created_at: z.string(),
  limits: TenantLimits,
  usage: Usage,
});
export type TenantAnswer = z.infer<typeof TenantAnswer>;

export const TenantList = z.object({
  tenants: z.array(TenantAnswer),
  next: z.string().nullable(),
});
export type TenantList = z.infer<typeof TenantList>;

export const TicketAnswer = z.object({
  ticket: z.string(),
  expires_at: z.string(),
});
export type TicketAnswer = z.infer<typeof TicketAnswer>;

export const TokenAnswer = z.object({
  token: z.string(),
  expires_at: z.string(),
});
export type TokenAnswer = z.infer<typeof TokenAnswer>;

export const TopicActivity = z.object({
  tenant: z.string(),
  name: z.string(),
  messages_per_sec: z.number(),
  deliveries_per_sec: z.number(),
  published_counts: z.array(z.number()),
  delivered_counts: z.array(z.number()),
  backlog: z.number(),
  more_backlog: z.boolean(),
  is_known: z.boolean(),
});
export type TopicActivity = z.infer<typeof TopicActivity>;

export const TopicActivities = z.object({
  interval_s: z.number(),
  topics: z.array(TopicActivity),
  unanswered_count: z.number(),
  nodes: z.array(z.string()).optional(),
  unanswered: z.array(z.string()).optional(),
});
export type TopicActivities = z.infer<typeof TopicActivities>;

export const TopicAnswer = z.object({
  name: z.string(),
  subscriber_count: z.number(),
  message_count: z.number(),
  created_at: z.string(),
  first_seq: z.number(),
  last_seq: z.number(),
  epoch: z.string(),
  stored_bytes: z.number(),
  retention: Retention,
  unanswered_count: z.number().default(0),
});
export type TopicAnswer = z.infer<typeof TopicAnswer>;

export const TopicChange = z.object({
  retention: RetentionBody,
});
export type TopicChange = z.infer<typeof TopicChange>;

export const TopicList = z.object({
  topics: z.array(TopicAnswer),
  next: z.string().nullable(),
  default_retention: Retention.nullable().optional(),
});
export type TopicList = z.infer<typeof TopicList>;

export const WhoAmI = z.object({
  tenant: z.string(),
  actor: z.string(),
  key_id: z.string().nullable(),
  scopes: z.array(Grant),
  expires_at: z.string().nullable(),
  limits: TenantLimits,
  key_name: z.string().nullable().optional(),
  session: SessionAnswer.nullable().optional(),
  now: z.string().nullable().optional(),
});
export type WhoAmI = z.infer<typeof WhoAmI>;
