//! Entries, group by group: what came in one request, and was asked for as a whole or not.

use evenkeel_wire::{
    command::{Command, Commands},
    entry::{EntryBody, Group},
    id::CommandId,
    outcome::Rejection,
};

use super::LedgerModel;

impl LedgerModel {
    /// Applies an entry's commands.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn apply(&mut self, position: u64, time: u64, body: &[u8]) -> Result<(), String> {
        let mut entry = EntryBody::open(body).map_err(|error| error.to_string())?;
        let mut groups = Vec::new();
        while let Some(group) = entry.next_group().map_err(|error| error.to_string())? {
            groups.push(group);
        }
        let is_alone = groups.iter().map(|group| group.commands).sum::<u32>() == 1;
        for group in groups {
            if group.atomic {
                self.apply_together(position, time, &group)?;
            } else {
                for (command, bytes) in read_commands(&group)? {
                    self.apply_one(position, time, &command, bytes, is_alone)?;
                }
            }
        }
        Ok(())
    }

    /// All of them are committed, or everything is as it was, and known to have failed.
    fn apply_together(
        &mut self,
        position: u64,
        time: u64,
        group: &Group<'_>,
    ) -> Result<(), String> {
        let before = self.clone();
        let all = read_commands(group)?;
        for (number, (command, bytes)) in all.iter().enumerate() {
            let Some(why) = self.apply_one(position, time, command, bytes, false)? else {
                continue;
            };
            *self = before;
            for (other, (command, _)) in all.iter().enumerate() {
                let told = if other == number { why } else { Rejection::BatchFailed };
                self.failed.entry((position, id_of(command)?)).or_default().push(told);
            }
            self.together[1] += 1;
            return Ok(());
        }
        self.together[0] += 1;
        Ok(())
    }

    /// Why it was rejected, if it was.
    fn apply_one(
        &mut self,
        position: u64,
        time: u64,
        command: &Command,
        bytes: &[u8],
        is_alone: bool,
    ) -> Result<Option<Rejection>, String> {
        match command {
            Command::Genesis(genesis) => {
                self.date.get_or_insert(genesis.first_date);
                self.genesis.get_or_insert_with(|| (**genesis).clone());
            }
            Command::OpenAccount(open) => self.open(position, open.clone()),
            Command::ExpireHold(expire) => self.expire(time, expire.hold),
            Command::CloseDay(close) if is_alone => {
                if self.date == Some(close.closed) && close.next > close.closed {
                    self.date = Some(close.next);
                }
            }
            Command::CloseDay(_) => return Err("a day's end isn't alone in its entry".into()),
            other => return Ok(self.decide(position, time, id_of(other)?, other, bytes)),
        }
        Ok(None)
    }

    /// What a command of a failed atomic group was answered in an entry: more than once, when it was tried there more than once.
    pub fn failed_in(&self, position: u64, id: CommandId) -> &[Rejection] {
        self.failed.get(&(position, id)).map_or(&[], Vec::as_slice)
    }
}

fn read_commands<'a>(group: &Group<'a>) -> Result<Vec<(Command, &'a [u8])>, String> {
    Commands::new(group.bytes).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn id_of(command: &Command) -> Result<CommandId, String> {
    command.id().ok_or_else(|| format!("{command:?} in the journal"))
}
