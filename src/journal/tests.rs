//! What the contract on [`Journal`](super::Journal) promises: one list of cases, run against every journal.

mod appending;
mod beginning;
pub(super) mod fixture;
mod forgetting;
mod keys;
mod losing;
pub(super) mod model;
mod obeying;
mod reading;
mod surveying;
mod time_to_live;

use std::sync::Arc;

use super::disk::DiskJournal;
use super::memory::MemoryJournal;

/// Runs every case against each of the journals named.
macro_rules! journal_cases {
    ($($journal:ident => $open:expr)+) => {$(
        mod $journal {
            use super::*;
            const OPEN: fixture::Open = $open;
            run! { appending:
                numbers_are_consecutive_and_begin_with_one
                receipts_name_what_was_kept_in_the_order_of_the_drafts
                times_never_decrease
                the_sink_hears_every_event_once_and_in_order_before_append_returns
                the_sink_is_called_with_no_lock_held_to_announce
                a_batch_that_is_refused_leaves_nothing_behind
                a_closed_journal_appends_and_forgets_nothing_and_is_still_read
                readers_beside_a_writer_see_whole_batches_and_no_holes
                what_a_reader_misses_beside_a_writer_is_in_the_loss_of_the_same_page
                what_comes_after_a_beginning_beside_a_writer_is_read_or_told
            }
            run! { beginning:
                after_a_known_cursor_begins_right_behind_it
                after_the_head_nothing_is_missed
                a_cursor_of_another_life_is_a_gap_and_begins_with_what_there_is
                a_cursor_beyond_the_end_is_a_gap
                a_cursor_that_nobody_can_read_is_a_gap
                earliest_is_everything_retained
                now_is_nothing_of_the_past
                last_counts_back_in_one_channel
                last_counts_back_in_each_of_several_channels
                last_counts_back_in_each_channel_of_a_pattern
                last_of_a_long_channel_beside_a_short_one_fits_a_small_page
                last_zero_is_now
                last_of_a_channel_that_comes_later_misses_nothing_of_it
                since_begins_with_the_first_event_at_that_time
                since_the_future_is_nothing_of_the_past
            }
            run! { reading:
                one_channel_is_read_without_the_others
                several_channels_and_patterns_come_in_the_order_of_ids_and_once
                a_page_has_no_more_events_than_its_limit
                a_page_has_no_more_bytes_than_its_limit
                an_event_larger_than_the_limit_comes_alone
                a_page_without_room_leaves_nothing_out
                a_page_examines_no_more_rows_than_its_limit_and_may_be_empty
                the_last_page_reaches_the_head
                pages_put_together_are_the_whole
                reading_back_gives_the_newest_before_a_place_in_ascending_order
                reading_back_in_pages_ends_with_the_oldest
                reading_back_over_rows_that_do_not_match_gets_ahead
            }
            run! { losing:
                by_count
                by_bytes_of_the_channel
                by_age
                by_bytes_of_the_whole
                what_a_batch_itself_makes_room_for_pushes_nothing_out
                an_event_too_large_to_be_kept_is_lost
                the_first_rule_whose_pattern_matches_counts
                another_channel_has_lost_nothing
                a_cursor_behind_the_loss_is_told_nothing
                what_was_excused_is_not_told_again_but_a_new_loss_is
                a_beginning_without_a_cursor_is_never_told_of_a_loss
                a_loss_after_a_beginning_without_a_cursor_is_told
                a_pattern_is_told_of_every_channel_that_lost
                whether_nothing_was_lost_is_known_without_a_read
                a_dropped_channel_counts_for_patterns_and_for_channels_without_a_record
                a_dropped_channel_does_not_count_for_a_channel_that_is_there
                a_channel_that_comes_back_has_not_forgotten_its_loss
                a_channel_that_comes_back_tells_its_loss_once
                a_dropped_channel_is_told_to_who_was_excused_before_it_lost_anything
                a_dropped_channel_that_lost_nothing_costs_nothing
                a_channel_too_many_is_refused_while_all_hold_something
                a_batch_that_is_refused_lets_go_of_no_channel
                a_batch_counts_its_own_channels_against_the_bound
                nothing_is_refused_where_the_channel_is_there_already
            }
            run! { forgetting:
                a_channel_is_empty_and_says_that_it_was_deleted
                deletion_counts_more_than_retention
                an_unknown_channel_cannot_be_forgotten
                other_channels_keep_what_they_have
                what_comes_after_is_kept_and_read
                forgetting_twice_is_told_as_one_loss
                an_event_that_was_not_owed_any_more_is_not_told_as_deleted
                what_is_deleted_while_the_tail_is_read_is_given_or_told
            }
            run! { time_to_live:
                an_event_that_outlived_itself_is_not_owed_and_no_loss
                an_event_with_time_left_is_owed
                who_was_listening_when_it_came_gets_it_though_its_time_is_over
                an_event_without_any_time_is_numbered_and_heard_but_not_kept
                an_event_that_outlived_itself_makes_room
                an_event_that_outlived_itself_is_not_counted_back
                what_outlived_itself_hides_nothing_behind_it
            }
            run! { keys:
                a_repetition_gets_the_first_receipts_and_delivers_nothing
                another_payload_under_the_same_key_is_refused
                a_key_is_valid_in_its_scope_only
                a_key_is_forgotten_after_its_time
                the_oldest_key_is_forgotten_beyond_the_capacity
                a_refused_batch_does_not_use_its_key
                one_key_at_once_from_many_threads_is_kept_once
            }
            run! { obeying:
                a_lower_number_takes_the_oldest_and_tells_it
                a_closed_journal_lets_go_of_nothing
                none_at_all_empties_a_channel
                a_higher_number_keeps_more_from_then_on
                a_channel_goes_by_the_pattern_that_matches_it_now
                a_channel_that_comes_later_goes_by_the_new_rule
                an_age_counts_for_what_was_there_before_it
                without_its_age_everything_stays
                fewer_bytes_count_for_a_channel_and_for_all
                fewer_channels_refuse_new_ones_alone
                fewer_keys_forget_the_oldest
                a_shorter_memory_of_keys_counts_for_those_that_were_used
                what_is_too_much_for_one_transaction_goes_in_those_that_follow
                a_great_deal_goes_in_several_steps_and_not_in_one
                keys_that_are_too_many_for_one_transaction_go_in_those_that_follow
                what_was_told_last_counts_also_of_many_at_once
                a_reader_beside_new_rules_is_given_or_told_everything
            }
            run! { surveying:
                channels_are_seen_page_by_page_in_the_order_of_their_names
                what_is_kept_of_a_channel_is_counted
                what_is_kept_of_all_is_what_is_kept_of_each
            }
            run! { model:
                any_steps_end_where_the_model_ends
                any_steps_with_few_channels_lose_nothing_in_silence
                any_steps_and_new_rules_end_where_the_model_ends
            }
        }
    )+};
}

/// Makes a test of each case of a module.
macro_rules! run {
    ($module:ident: $($case:ident)+) => {
        mod $module {
            $(#[test] fn $case() { super::super::$module::$case(super::OPEN); })+
        }
    };
}

journal_cases! {
    memory => |config, sink| Arc::new(MemoryJournal::open(config, 1, sink))
    disk => |config, sink| {
        let opening = DiskJournal::open(config, 1).unwrap();
        Arc::new(opening.start(sink).unwrap())
    }
}
